#!/usr/bin/env node
import '../runtime/supported.ts'
import { createRequire } from 'node:module'
import process from 'node:process'
import { systemClock } from '../runtime/clock.ts'
import { EXIT } from './io.ts'
import { run } from './run.ts'

const interrupted = new AbortController()
let wasTerminated = false
process.once('SIGINT', () => interrupted.abort(new Error('Interrupted')))
process.once('SIGTERM', () => {
  wasTerminated = true
  interrupted.abort(new Error('Terminated'))
})
// The reader of a pipe (`head`) may leave early.
process.stdout.on('error', () => process.exit())

const { version } = createRequire(import.meta.url)('acestream-orchestrator-client/package.json') as { version: string }

const code = await run({
  args: process.argv.slice(2),
  version,
  env: process.env,
  write: (text) => void process.stdout.write(text),
  writeError: (text) => void process.stderr.write(text),
  isTerminal: process.stdout.isTTY === true,
  get columns() {
    return process.stdout.columns
  },
  get rows() {
    return process.stdout.rows
  },
  clock: systemClock,
  signal: interrupted.signal,
})
process.exitCode = code === EXIT.interrupted && wasTerminated ? EXIT.terminated : code
