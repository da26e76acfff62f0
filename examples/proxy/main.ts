import process from 'node:process'
import { InvalidArgumentError, OrchestratorClient, StoreError } from 'acestream-orchestrator-client'
import { ConfigError, type Environment, type ProxyConfig, readConfig } from './config.ts'
import { type EngineSource, singleEngine } from './engine-source.ts'
import { countIncidents } from './incidents.ts'
import { jsonLogger } from './log.ts'
import { createProxy } from './server.ts'
import { type OpenStore, openStore } from './store.ts'

const USAGE = `Usage: node examples/proxy/main.ts

Serves GET /ace/getstream?id=… (or infohash=…) from the engines of an AceStream orchestrator. Configured by environment variables.
Variables of the Go proxy:

  ACEXY_LISTEN_ADDR             address to listen on (:8080)
  ACEXY_ORCH_URL                URL of the orchestrator; without it ACEXY_HOST:ACEXY_PORT is the only engine
  ACEXY_ORCH_APIKEY             API key of the orchestrator
  ACEXY_MAX_STREAMS_PER_ENGINE  maximum number of streams per engine (1)
  ACEXY_CONTAINER_ID            name of this proxy (a random id)
  ACEXY_HOST, ACEXY_PORT        the engine without an orchestrator (localhost, 6878); if set, also the fallback engine
  ACEXY_SCHEME                  scheme of the engines, http or https (http)
  ACEXY_NO_RESPONSE_TIMEOUT     time limit for an engine's response, and again for its first bytes (10s)
  ACEXY_EMPTY_TIMEOUT           time limit for a stream that sends nothing (1m)
  ACEXY_LOG_LEVEL               DEBUG, INFO, WARN or ERROR (INFO)

Variables of this proxy:

  ACEXY_ENGINE_HOST             host at which every engine is reached, for a proxy outside the orchestrator's network
  ACEXY_CAPACITY_TIMEOUT        how long a viewer waits for a slot; 0: not at all (30s)
  ACEXY_LINGER                  how long a stream continues after its last viewer has left; 0: not at all (5s)
  ACEXY_SHUTDOWN_TIMEOUT        time limit for a shutdown, from the signal to the exit (10s)
  ACEXY_STORE                   sqlite:/path/to/file: after a crash the next start ends the old streams; redis://host:port: proxies share
                                the limit, and end the streams of a proxy that died; ?name=fleet: only proxies of this name share
  ACEXY_STORE_TTL               a proxy of a fleet counts as dead after it was silent for this time (15s); the same for the whole fleet
`

if (process.argv.includes('--help') || process.argv.includes('-h')) {
  process.stdout.write(USAGE)
} else if (process.argv.length > 2) {
  fail('there are no arguments but --help; use environment variables', 2)
} else {
  await run(process.env)
}

async function run(env: Environment): Promise<void> {
  let config: ProxyConfig
  let source: EngineSource
  let opened: OpenStore | undefined
  try {
    config = readConfig(env)
    opened = await openStore(
      env,
      jsonLogger(config.logLevel, (line) => process.stdout.write(line)),
    )
    source = engineSource(env, config, opened)
  } catch (error) {
    if (error instanceof ConfigError || error instanceof InvalidArgumentError || error instanceof StoreError) return fail(error.message, 2)
    throw error
  }
  const incidents = source instanceof OrchestratorClient ? countIncidents(source) : {}
  const log = jsonLogger(config.logLevel, (line) => process.stdout.write(line))
  const { scheme, headerTimeoutMs, idleTimeoutMs, capacityTimeoutMs, lingerMs, shutdownTimeoutMs } = config
  const proxy = createProxy({ source, scheme, headerTimeoutMs, idleTimeoutMs, capacityTimeoutMs, lingerMs, log })
  try {
    const { url } = await proxy.listen(config.listen)
    log.info('listening', { url })
  } catch (error) {
    return fail(`cannot listen: ${error instanceof Error ? error.message : String(error)}`, 1)
  }

  let closingSince: number | undefined
  const shutDown = async (signal: string): Promise<void> => {
    // Ctrl-C reaches the whole process group, and a supervisor may pass it on again: exit at once only for a signal after 1 s.
    if (closingSince !== undefined && performance.now() - closingSince > 1_000) process.exit(1)
    if (closingSince !== undefined) return
    closingSince = performance.now()
    log.info('closing', { signal, viewers: proxy.viewers })
    // Exit in time even if some work exceeds its own time-out: a supervisor would kill the process soon.
    setTimeout(() => process.exit(0), shutdownTimeoutMs).unref()
    const report = await proxy.close({ timeoutMs: shutdownTimeoutMs / 2 })
    await opened?.close()
    log.info('closed', { ...report, ...proxy.figures, ...incidents, metrics: source.metrics() })
    process.exitCode = 0
  }
  process.on('SIGTERM', (signal) => void shutDown(signal))
  process.on('SIGINT', (signal) => void shutDown(signal))
}

function engineSource(
  env: Environment,
  { engine, isEngineNamed, engineHost, logLevel }: ProxyConfig,
  opened: OpenStore | undefined,
): EngineSource {
  const client = OrchestratorClient.fromEnv(env, {
    logger: jsonLogger(logLevel, (line) => process.stdout.write(line)),
    ...(opened !== undefined && { store: opened.store }),
    ...(isEngineNamed && { fallbackEngine: engine }),
    ...(engineHost !== undefined && { mapEngine: ({ port }) => ({ host: engineHost, port }) }),
  })
  return client ?? singleEngine(engine)
}

function fail(message: string, exitCode: number): void {
  process.stderr.write(`acestream proxy: ${message}\n`)
  process.exitCode = exitCode
}
