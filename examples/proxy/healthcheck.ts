import process from 'node:process'
import { readConfig } from './config.ts'

/** Shorter than the time limit of the `HEALTHCHECK` in the `Dockerfile`. */
const TIMEOUT_MS = 4_000
const ALL_INTERFACES: readonly string[] = ['0.0.0.0', '::']

/** Asks the proxy with the same environment whether it lives. Exits with 0 or 1. */
const { listen, basePath } = readConfig(process.env)
const { host = '127.0.0.1', port } = listen
const name = ALL_INTERFACES.includes(host) ? '127.0.0.1' : host
const url = `http://${name.includes(':') ? `[${name}]` : name}:${port}${basePath}/healthz`
const isAlive = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) }).then(
  ({ ok }) => ok,
  () => false,
)
process.exitCode = isAlive ? 0 : 1
