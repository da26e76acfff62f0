import type { EngineSnapshot } from '../engines/list/snapshot.ts'
import { judgeEngines } from '../engines/placement/explanation.ts'
import type { Occupancy } from '../engines/placement/occupancy.ts'
import type { SlotTaker } from '../engines/placement/slot-taker.ts'
import type { Diagnosis, Problem } from '../model/diagnosis.ts'
import type { DiagnoseValues } from '../options/diagnose-options.ts'
import type { ResolvedOptions } from '../options/resolve.ts'
import type { CircuitBreaker } from '../orchestrator/circuit-breaker.ts'
import { Inspection, type InspectionParts } from '../orchestrator/inspection.ts'
import type { ListedEngines } from '../orchestrator/listed-engines.ts'
import { isOfProxy, type Obstacle } from '../orchestrator/obstacles.ts'
import { runWithDeadline, waitUnlessAborted } from '../runtime/abort.ts'
import type { Clock } from '../runtime/clock.ts'
import { type Connect, loadConnect } from '../runtime/connect.ts'
import type { Redact } from '../runtime/redaction.ts'
import type { Sequence } from '../runtime/sequence.ts'
import { capacityProblems } from './capacity-problems.ts'
import { findElsewhere } from './elsewhere.ts'
import { checkEngines } from './engine-check.ts'
import { keyMissing, keyRejected, problem, problemOf, type Target } from './obstacle-problems.ts'
import { checkStore, STORE_TIMEOUT_MS } from './store-check.ts'

/** Dependencies of {@link diagnose}. */
export interface DoctorParts {
  readonly options: ResolvedOptions
  readonly taker: SlotTaker
  readonly circuit: CircuitBreaker | undefined
  readonly sequence: Sequence
  /** Aborts with the client. */
  readonly lifetime: AbortSignal
}

/**
 * Looks at everything between this client and its engines, and describes what is wrong.
 *
 * @throws the reason of the signal, or of the client's lifetime
 */
export async function diagnose(parts: DoctorParts, { signal, connect }: DiagnoseValues): Promise<Diagnosis> {
  const ended = new AbortController()
  const examining = examine(parts, connect, ended.signal)
  try {
    return await waitUnlessAborted(waitUnlessAborted(examining, parts.lifetime), signal)
  } finally {
    ended.abort()
  }
}

async function examine(parts: DoctorParts, given: Connect | undefined, signal: AbortSignal): Promise<Diagnosis> {
  const { options, circuit, sequence } = parts
  const { baseUrl, apiKey, headers, dialect, transport, clock, requestTimeoutMs } = options
  const connect = given ?? (await loadConnect())
  const inspectionParts = { baseUrl, apiKey, headers, dialect, transport, clock, sequence, requestTimeoutMs, signal }
  const inspection = await Inspection.open(inspectionParts)
  const { redact } = inspection
  const target: Target = {
    shown: redact(`${baseUrl.origin}${baseUrl.pathname === '/' ? '' : baseUrl.pathname}`),
    baseUrl,
    hasKey: apiKey !== undefined && apiKey !== '',
    requestTimeoutMs,
  }
  const storeProblems = checkStore(options.store, clock, signal)
  // After an abort nothing waits for it any more: its rejection would end the host's process.
  storeProblems.catch(() => {})
  const found = await inspection.readEngines()
  const latencyMs = inspection.latencyMs
  const present =
    'listed' in found
      ? await examinePresent(parts, inspection, target, found, connect, signal)
      : await examineAbsent(found.obstacle, inspection, inspectionParts, target, connect)
  const { clockSkewMs } = inspection
  const problems = [...circuitProblems(circuit), ...present.problems, ...skewProblems(clockSkewMs), ...(await storeProblems)]
  return Object.freeze({
    baseUrl: target.shown,
    reachable: present.reachable,
    latencyMs,
    generation: inspection.generation,
    key: present.key,
    ...(clockSkewMs === undefined ? {} : { clockSkewMs }),
    engines: Object.freeze(present.engines.map((engine) => redactTexts(engine, redact))),
    problems: Object.freeze(problems.map((each) => redactTexts(each, redact))),
  })
}

type Examined = Pick<Diagnosis, 'reachable' | 'key' | 'engines' | 'problems'>

/** The engine list could not be read: finds out why. */
async function examineAbsent(
  obstacle: Obstacle,
  inspection: Inspection,
  parts: InspectionParts,
  target: Target,
  connect: Connect | undefined,
): Promise<Examined> {
  const elsewhere = await findElsewhere(parts, obstacle)
  const isConnected = obstacle.kind === 'timed-out' ? await canConnect(parts, connect) : undefined
  const reachable = obstacle.status !== undefined && inspection.hasRefused
  const found = problemOf(obstacle, target, elsewhere, isConnected)
  const isKeyWrong = found.code === 'key_rejected' || found.code === 'key_missing'
  const key = isKeyWrong ? 'rejected' : target.hasKey ? 'unknown' : 'none'
  // Only v1's internal port requires the key for reads.
  return { reachable, key, engines: [], problems: isKeyWrong && reachable ? [found, internalPort(target)] : [found] }
}

/** Whether the server accepts a TCP connection; `undefined` if that cannot be tried here. */
async function canConnect(
  { baseUrl, clock, requestTimeoutMs, signal }: InspectionParts,
  connect: Connect | undefined,
): Promise<boolean | undefined> {
  if (connect === undefined) return undefined
  const port = baseUrl.port === '' ? (baseUrl.protocol === 'https:' ? 443 : 80) : Number(baseUrl.port)
  const host = baseUrl.hostname.replace(/^\[|\]$/g, '')
  try {
    const deadline = { clock, timeoutMs: requestTimeoutMs, signal, label: 'connect' }
    await runWithDeadline(deadline, async (ended) => connect({ host, port }, { signal: ended }))
    return true
  } catch {
    signal.throwIfAborted()
    return false
  }
}

/** The orchestrator lists its engines: looks at everything else. */
async function examinePresent(
  { options, taker }: DoctorParts,
  inspection: Inspection,
  target: Target,
  { listed, requestedAt }: { readonly listed: ListedEngines; readonly requestedAt: number },
  connect: Connect | undefined,
  signal: AbortSignal,
): Promise<Examined> {
  const { clock, mapEngine, requestTimeoutMs: timeoutMs, maxStreamsPerEngine: limit } = options
  const { engines } = listed
  const { occupancy, loads } = await countLoads(taker, { ...listed, sequence: requestedAt, receivedAt: clock.now() }, clock, signal)
  const [checked, { key, obstacle }, status] = await Promise.all([
    checkEngines(engines, { connect, clock, mapEngine, timeoutMs, signal, loads, limit }),
    inspection.checkKey(),
    inspection.isInternalPort ? undefined : inspection.readStatus(),
  ])
  const readable = status === undefined || 'obstacle' in status ? undefined : status
  const breakerWaitMs = readable?.isBreakerOpen ? await inspection.readBreakerWaitMs() : undefined
  const unreadableCount = listed.unreadable?.engines.length ?? 0
  const problems = [
    ...keyProblems(key, obstacle, target),
    ...(inspection.isInternalPort ? [internalPort(target)] : []),
    ...(status !== undefined && 'obstacle' in status ? [problemOf(status.obstacle, target, undefined, true)] : []),
    ...checked.problems,
    ...capacityProblems({ occupancy, limit, status: readable, breakerWaitMs, unreadableCount }),
  ]
  return { reachable: true, key, engines: checked.engines, problems }
}

/** Counts the load of each engine, and why viewers cannot use it, as the choice for a viewer does. */
async function countLoads(
  taker: SlotTaker,
  snapshot: EngineSnapshot,
  clock: Clock,
  signal: AbortSignal,
): Promise<{ occupancy: Occupancy; loads: ReadonlyMap<string, number> }> {
  const counts = { full: 0, draining: 0, unhealthy: 0, ejected: 0, excluded: 0, free: 0 }
  const { length: total } = snapshot.engines
  try {
    const deadline = { clock, timeoutMs: STORE_TIMEOUT_MS, signal, label: 'The store' }
    const filter = { exclude: new Set<string>(), allowUnhealthy: false }
    const engines = await runWithDeadline(deadline, async () => judgeEngines(taker, snapshot, filter))
    for (const { hindrance } of engines) counts[hindrance === undefined || hindrance === 'unsettled' ? 'free' : hindrance] += 1
    return { occupancy: { ...counts, total }, loads: new Map(engines.map(({ engine, load }) => [engine.containerId, load])) }
  } catch {
    signal.throwIfAborted()
    // The store fails, which is a problem of its own.
    const loads = new Map(snapshot.engines.map(({ containerId, streamIds }) => [containerId, streamIds.length]))
    return { occupancy: { ...counts, free: total, total }, loads }
  }
}

function keyProblems(key: Diagnosis['key'], obstacle: Obstacle | undefined, target: Target): Problem[] {
  const { shown, hasKey } = target
  if (key === 'rejected' && hasKey)
    return [keyRejected(`${shown} rejects the API key. Reads need none, but starts, ends and new engines do.`)]
  if (key === 'rejected') return [keyMissing(`${shown} requires an API key for starts, ends and new engines, and none is set.`)]
  if (obstacle === undefined) return []
  if (isOfProxy(obstacle)) return [problemOf(obstacle, target, undefined, true)]
  const remedy =
    'Look at the log of the orchestrator. If a proxy is in front of it, check that it passes POST requests and event streams on.'
  return [problem('key_unchecked', `Whether ${shown} accepts the API key could not be found out: ${obstacle.detail}.`, remedy)]
}

function internalPort({ shown }: Target): Problem {
  return problem(
    'internal_port',
    `${shown} is the internal port of v1 (8083). It starts no engines and has no status.`,
    'Set baseUrl (ACEXY_ORCH_URL) to the port 8000 of the same host.',
  )
}

function circuitProblems(circuit: CircuitBreaker | undefined): Problem[] {
  if (circuit === undefined || circuit.isClosed) return []
  const seconds = Math.ceil(circuit.error.retryAfterMs / 1_000)
  const message = `The client has stopped its requests because too many failed in a row${seconds > 0 ? `; it tries again in ${seconds} s` : ''}.`
  const remedy = 'Nothing, if no other problem is listed: the next request that succeeds closes the circuit. Else solve the other problems.'
  return [problem('circuit_open', message, remedy)]
}

/** A smaller difference disturbs nothing. */
const MAX_SKEW_MS = 10_000

function skewProblems(clockSkewMs: number | undefined): Problem[] {
  if (clockSkewMs === undefined || Math.abs(clockSkewMs) <= MAX_SKEW_MS) return []
  const seconds = Math.round(Math.abs(clockSkewMs) / 1_000)
  const message = `The clock of the orchestrator is ${seconds} s ${clockSkewMs > 0 ? 'ahead of' : 'behind'} the clock of this machine.`
  const remedy =
    'Let both machines set their clocks by NTP. Times in logs and lists do not fit together, and engines that were unused for long are ranked wrongly.'
  return [problem('clock_skew', message, remedy)]
}

/** Fields with text of others. Ids and addresses stay as they are: the host uses them. */
const TEXTS: ReadonlySet<string> = new Set(['message', 'remedy', 'error'])

/** A copy without the API key. */
function redactTexts<Values extends object>(values: Values, redact: Redact): Readonly<Values> {
  const entries = Object.entries(values).map(([name, value]) => [name, TEXTS.has(name) ? redact(String(value)) : value])
  return Object.freeze(Object.fromEntries(entries)) as Values
}
