import type { Occupancy } from '../engines/placement/occupancy.ts'
import type { Problem } from '../model/diagnosis.ts'
import type { StatusFound } from '../orchestrator/inspection.ts'
import { problem } from './obstacle-problems.ts'

/** The facts that decide whether a viewer gets an engine. */
export interface CapacityFacts {
  readonly occupancy: Occupancy
  /** Slots of each engine. */
  readonly limit: number
  /** `undefined`: the status could not be read. */
  readonly status: StatusFound | undefined
  /** Milliseconds until the circuit breaker for provisioning accepts a request; `undefined`: not known. */
  readonly breakerWaitMs: number | undefined
  /** Entries of the engine list that could not be read. */
  readonly unreadableCount: number
}

/** Describes why viewers get no engine, or will not get a new one, and what to do. */
export function capacityProblems(facts: CapacityFacts): Problem[] {
  return [...engineProblems(facts), ...provisioningProblems(facts)]
}

function engineProblems({ occupancy, limit, status, unreadableCount }: CapacityFacts): Problem[] {
  const { total, full, draining, unhealthy, ejected, free } = occupancy
  const problems: Problem[] = []
  if (unreadableCount > 0) {
    problems.push(
      problem(
        'engines_unreadable',
        `${unreadableCount} ${unreadableCount === 1 ? 'entry' : 'entries'} of the engine list cannot be used: the address or another field is wrong.`,
        'Another proxy may have reported streams with a wrong engine address, from which the orchestrator makes engines (H8). A restart of the orchestrator removes them.',
      ),
    )
  }
  const canStart = status?.provisioning.canProvision !== false && !isAtMaximum(status)
  const starts = canStart
    ? 'The next viewer requests a new engine, which takes some seconds.'
    : 'No new engine can be started now, see below.'
  if (total === 0) {
    const remedy = `Raise MIN_REPLICAS, or in later releases the minimum in the settings, so that engines are ready. ${starts}`
    problems.push(problem('no_engines', 'The orchestrator lists no engine.', remedy))
  } else if (full === total) {
    const slots = limit === 1 ? 'one stream each' : `${limit} streams each`
    const remedy = `Allow more engines at the orchestrator, or raise maxStreamsPerEngine if an engine can play more. ${starts}`
    problems.push(problem('engines_full', `${total === 1 ? 'The only engine is' : `All ${total} engines are`} full (${slots}).`, remedy))
  } else if (free === 0) {
    const states = [
      ...count(full, 'full'),
      ...count(draining, 'draining'),
      ...count(unhealthy, 'unhealthy'),
      ...count(ejected, 'ejected after failures'),
    ]
    const which =
      total === 1
        ? `The only engine is ${states[0]?.replace('1 is ', '')}`
        : `No engine can take a stream: of ${total}, ${states.join(', ')}`
    const health = unhealthy === 0 ? '' : 'Look at the containers of the unhealthy engines, and at their VPN. '
    const ejection = ejected === 0 ? '' : 'An ejected engine gets streams again after 5 min at the latest. '
    problems.push(problem('engines_unusable', `${which}.`, `${health}${ejection}${starts}`))
  }
  return problems
}

function count(number: number, state: string): string[] {
  return number === 0 ? [] : [`${number} ${number === 1 ? 'is' : 'are'} ${state}`]
}

/** Whether the orchestrator runs all engines that it may. v1 accepts requests for further ones, and starts none (H19). */
function isAtMaximum(status: StatusFound | undefined): boolean {
  const { total = 0, maxReplicas = Number.POSITIVE_INFINITY } = status?.capacity ?? {}
  return total >= maxReplicas
}

function provisioningProblems({ status, breakerWaitMs, occupancy }: CapacityFacts): Problem[] {
  if (status === undefined) return []
  const { provisioning, isVpnDown, isBreakerOpen, capacity } = status
  const { canProvision, code, reason } = provisioning
  const problems: Problem[] = []
  if (isVpnDown || code?.startsWith('vpn_')) {
    const remedy =
      'Look at the VPN container (gluetun): its credentials, its server, its log. Engines work again when it is connected; new ones start about 60 s later.'
    problems.push(problem('vpn_down', 'The VPN of the orchestrator is not connected.', remedy))
  }
  if (isBreakerOpen) {
    const waitMs = breakerWaitMs ?? provisioning.retryAfterMs
    const message = `Starting engines has failed too often, so the orchestrator tries none${waitMs === undefined ? '' : ` for another ${Math.ceil(waitMs / 1_000)} s`}: its circuit breaker is open.`
    const remedy =
      'Find the failure in its log (container runtime, image, ports, VPN) and mend it. The breaker closes by itself 300 s after the last failure.'
    problems.push(problem('breaker_open', message, remedy))
  }
  if (problems.length > 0) return problems
  if (code === 'max_capacity' || (canProvision && isAtMaximum(status))) {
    // No fault while engines have room.
    if (occupancy.free > 0) return []
    const max = capacity?.maxReplicas === undefined ? 'its maximum' : `its maximum of ${capacity.maxReplicas}`
    const remedy =
      'Viewers wait for a free slot. To allow more engines, raise MAX_REPLICAS, or in later releases the maximum in the settings.'
    return [problem('provisioning_blocked', `The orchestrator starts no further engine: it runs ${max}.`, remedy)]
  }
  if (canProvision) return []
  const remedy = 'Look at the log of the orchestrator. It will start engines again when the cause has passed.'
  return [
    problem('provisioning_blocked', `The orchestrator starts no engine${quoted(reason)}${code === undefined ? '' : ` (${code})`}.`, remedy),
  ]
}

function quoted(reason: string | undefined): string {
  return reason === undefined ? '' : `: "${reason}"`
}
