import process from 'node:process'
import { InvalidArgumentError, OrchestratorClient, StoreError } from 'acestream-orchestrator-client'
import { ConfigError, type Environment, type ProxyConfig, readConfig, variablesWithoutEffect } from './config.ts'
import type { EngineSource } from './engine-source.ts'
import { countIncidents } from './incidents.ts'
import { jsonLogger } from './log.ts'
import { orchestratorCheck } from './readiness.ts'
import { createProxy } from './server.ts'
import { singleEngine } from './single-engine.ts'
import { type OpenStore, openStore } from './store.ts'
import { USAGE } from './usage.ts'

/** Time at the end of a shutdown in which streams are ended. */
const LONGEST_END_MS = 5_000

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
    if (!(error instanceof ConfigError || error instanceof InvalidArgumentError || error instanceof StoreError)) throw error
    fail(error.message, 2)
    // The connection of an open store would keep the process alive.
    return opened?.close()
  }
  const incidents = source instanceof OrchestratorClient ? countIncidents(source) : {}
  const log = jsonLogger(config.logLevel, (line) => process.stdout.write(line))
  const unused = variablesWithoutEffect(env)
  if (unused.length > 0) log.info('These variables of the Go proxy have no effect here', { variables: unused })
  // A fallback engine serves viewers without the orchestrator.
  const whyNotReady = source instanceof OrchestratorClient && !config.isEngineNamed ? orchestratorCheck(source) : async () => undefined
  const { maxStreamsPerEngine, showsDetails } = config
  const orchestrated = source instanceof OrchestratorClient ? { client: source, maxStreamsPerEngine } : {}
  const status = { ...orchestrated, showsDetails, store: opened?.name ?? 'memory' }
  const proxy = createProxy({ ...config, source, whyNotReady, status, log })
  try {
    const { url } = await proxy.listen(config.listen)
    log.info('listening', { url: url + config.basePath })
  } catch (error) {
    fail(`cannot listen: ${error instanceof Error ? error.message : String(error)}`, 1)
    await proxy.close({ timeoutMs: 0 })
    return opened?.close()
  }
  // The status page shows the health at once. A check that fails is logged, and made again later.
  if (source instanceof OrchestratorClient) source.checkHealth().catch(() => {})

  let closingSince: number | undefined
  const shutDown = async (signal: string): Promise<void> => {
    // Ctrl-C reaches the whole process group, and a supervisor may pass it on again: exit at once only for a signal after 1 s.
    if (closingSince !== undefined && performance.now() - closingSince > 1_000) process.exit(1)
    if (closingSince !== undefined) return
    closingSince = performance.now()
    // Ends need time to be delivered. The viewers get the rest.
    const { shutdownTimeoutMs } = config
    const endsMs = Math.min(LONGEST_END_MS, 0.8 * shutdownTimeoutMs)
    const drainMs = shutdownTimeoutMs - endsMs
    log.info('closing', { signal, viewers: proxy.viewers, drainMs })
    // Exit in time even if some work exceeds its own time-out: a supervisor would kill the process soon.
    setTimeout(() => process.exit(0), shutdownTimeoutMs).unref()
    const report = await proxy.close({ timeoutMs: endsMs / 2, drainMs })
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
