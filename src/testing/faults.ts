import { InvalidArgumentError } from '../errors.ts'
import type { Random } from '../runtime/random.ts'
import {
  expectBoolean,
  expectCount,
  expectDuration,
  expectKnownName,
  expectOptions,
  expectTexts,
  type NamesOf,
} from '../runtime/validate.ts'
import { ROUTE_LABELS } from './routing.ts'

/**
 * What goes wrong with a request:
 * - `lost-request`: never applied, and the caller hears nothing until it gives up;
 * - `lost-answer`: applied, and the caller hears nothing (hazard 4);
 * - `refused`: the connection is refused; certainly not applied;
 * - `reset`: the connection breaks before the request was read; not applied, but the caller cannot know;
 * - `reset-after`: applied, then the connection breaks;
 * - `delay`: answered `delayMs` late; applied at once, or late too with `applyLate`, even if the caller gave up (hazard 4);
 * - `status`: something in between answers with `status`, `headers` and `body`; not applied;
 * - `html`: the same with a proxy's error page; `redirect`: the same with a 307 to another host;
 * - `garbage`, `truncated`, `empty`, `oversized`: applied, and the answer's body is no JSON, half of itself, nothing, or 16 MiB.
 */
export type FaultKind =
  | 'lost-request'
  | 'lost-answer'
  | 'refused'
  | 'reset'
  | 'reset-after'
  | 'delay'
  | 'status'
  | 'html'
  | 'redirect'
  | 'garbage'
  | 'truncated'
  | 'empty'
  | 'oversized'

/** All kinds, for fault matrices. */
export const FAULT_KINDS: readonly FaultKind[] = [
  'lost-request',
  'lost-answer',
  'refused',
  'reset',
  'reset-after',
  'delay',
  'status',
  'html',
  'redirect',
  'garbage',
  'truncated',
  'empty',
  'oversized',
]

/** A fault to inject. */
export interface Fault {
  kind: FaultKind
  /** Label or labels of the routes it hits (`POST /events/stream_started`); default every route. */
  route?: string | readonly string[] | undefined
  /** Default 503 (`status`), 502 (`html`), 307 (`redirect`); the other kinds keep the orchestrator's. */
  status?: number | undefined
  headers?: Readonly<Record<string, string>> | undefined
  body?: string | undefined
  /** How much later the caller hears; of `delay` the delay itself. Default 0, of `delay` 5 000. */
  delayMs?: number | undefined
  /** Whether `delayMs` passes before the request is applied, not after. Default false. */
  applyLate?: boolean | undefined
  /** Overrides whether the request is applied. */
  applied?: boolean | undefined
  /** How many requests it hits; default 1. `Infinity`: until removed. */
  times?: number | undefined
  /** Chance of hitting a request that it could hit; default 1. A miss does not count as one of `times`. */
  probability?: number | undefined
}

const FAULT_NAMES: NamesOf<Fault> = {
  kind: true,
  route: true,
  status: true,
  headers: true,
  body: true,
  delayMs: true,
  applyLate: true,
  applied: true,
  times: true,
  probability: true,
}
/** The label of all requests of a method that no route answers. */
const UNKNOWN_ROUTE = /^[A-Z]+ \(unknown\)$/

/** Tells about an injected fault, and takes it away. */
export interface FaultHandle {
  remove(): void
  /** How many requests it has hit. */
  readonly hits: number
}

interface ActiveFault {
  readonly fault: Fault
  readonly routes: ReadonlySet<string> | undefined
  left: number
  hits: number
}

/** The faults waiting for their requests. One hits a request: the first injected of those that apply. */
export class FaultBook {
  readonly #random: Random
  readonly #active = new Set<ActiveFault>()

  constructor(random: Random) {
    this.#random = random
  }

  /** Adds a fault. */
  inject(fault: Fault): FaultHandle {
    expectOptions(fault, FAULT_NAMES, { name: 'fault' })
    expectKnownName('kind', fault.kind, FAULT_KINDS)
    const routes = fault.route === undefined ? undefined : new Set(typeof fault.route === 'string' ? [fault.route] : fault.route)
    // A route of another generation is no error: a suite may inject the same faults into all.
    for (const route of routes ?? []) if (!UNKNOWN_ROUTE.test(route)) expectKnownName('route', route, ROUTE_LABELS)
    expectFigures(fault)
    const active: ActiveFault = { fault, routes, left: fault.times ?? 1, hits: 0 }
    this.#active.add(active)
    return {
      remove: () => void this.#active.delete(active),
      get hits() {
        return active.hits
      },
    }
  }

  /** The fault that hits a request to this route, if any. */
  take(route: string): Fault | undefined {
    for (const active of this.#active) {
      if (active.routes !== undefined && !active.routes.has(route)) continue
      const { probability = 1 } = active.fault
      if (probability < 1 && this.#random() >= probability) continue
      active.hits++
      active.left--
      if (active.left <= 0) this.#active.delete(active)
      return active.fault
    }
    return undefined
  }

  /** Removes all. */
  clear(): void {
    this.#active.clear()
  }
}

/** @throws {@link InvalidArgumentError} naming the field of a fault that is wrong */
function expectFigures({ status, headers, body, delayMs, applyLate, applied, times, probability }: Fault): void {
  if (status !== undefined && !(Number.isInteger(status) && status >= 100 && status <= 599)) {
    throw new InvalidArgumentError('status', 'a status of 100 to 599')
  }
  if (headers !== undefined) expectTexts('headers', headers)
  if (body !== undefined && typeof body !== 'string') throw new InvalidArgumentError('body', 'text')
  if (delayMs !== undefined) expectDuration('delayMs', delayMs)
  if (applyLate !== undefined) expectBoolean('applyLate', applyLate)
  if (applied !== undefined) expectBoolean('applied', applied)
  if (times !== undefined && times !== Number.POSITIVE_INFINITY) expectCount('times', times)
  if (probability !== undefined && !(typeof probability === 'number' && probability >= 0 && probability <= 1)) {
    throw new InvalidArgumentError('probability', 'a number of 0 to 1')
  }
}
