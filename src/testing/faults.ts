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
 * How a request fails:
 * - `lost-request`: the request is not applied and gets no response;
 * - `lost-answer`: the request is applied and gets no response (H4);
 * - `refused`: the connection is refused, so the request is certainly not applied;
 * - `reset`: the connection breaks before the request is applied; the caller cannot know that it was not applied;
 * - `reset-after`: the connection breaks after the request is applied;
 * - `delay`: the response comes `delayMs` late. The request is applied at once, or with `applyLate` after the delay, even if the caller has
 *   stopped waiting (H4);
 * - `status`: a reverse proxy responds with `status`, `headers` and `body`; the request is not applied;
 * - `html`: like `status`, with an HTML error page; `redirect`: like `status`, with a 307 to another host;
 * - `garbage`, `truncated`, `empty`, `oversized`: the request is applied, and the body of the response is no JSON, cut in half, empty, or
 *   16 MiB long.
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

/** All kinds of faults, for tests that try each of them. */
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

/** A fault for {@link FakeOrchestrator.inject}. */
export interface Fault {
  /** How the request fails. */
  kind: FaultKind
  /** Label or labels of the routes that it hits, such as `POST /events/stream_started`. @default every route */
  route?: string | readonly string[] | undefined
  /** Status of the response. @default 503 for `status`, 502 for `html`, 307 for `redirect`, otherwise the orchestrator's own */
  status?: number | undefined
  /** Headers that are added to the response. @default none */
  headers?: Readonly<Record<string, string>> | undefined
  /** Body of the response. @default depends on the kind */
  body?: string | undefined
  /** Additional milliseconds until the response or the failure. @default 0, for `delay` 5,000 */
  delayMs?: number | undefined
  /** Whether `delayMs` passes before the request is applied instead of afterwards. @default false */
  applyLate?: boolean | undefined
  /** Whether the request is applied. @default depends on the kind */
  applied?: boolean | undefined
  /** Number of requests that it hits. `Infinity`: all until it is removed. @default 1 */
  times?: number | undefined
  /** Probability, 0 to 1, that it hits a matching request. A miss does not count as one of `times`. @default 1 */
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
/** The label of requests without a route, such as `GET (unknown)`. */
const UNKNOWN_ROUTE = /^[A-Z]+ \(unknown\)$/

/** Counts the requests that an injected fault has hit, and removes the fault. */
export interface FaultHandle {
  /** Removes the fault. */
  remove(): void
  /** Number of requests that it has hit. */
  readonly hits: number
}

interface ActiveFault {
  readonly fault: Fault
  readonly routes: ReadonlySet<string> | undefined
  left: number
  hits: number
}

/** The injected faults. If several match a request, the one that was injected first hits it. */
export class InjectedFaults {
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
    // A route of another generation is no error: a suite may inject the same faults into all generations.
    for (const route of routes ?? []) if (!UNKNOWN_ROUTE.test(route)) expectKnownName('route', route, ROUTE_LABELS)
    expectFields(fault)
    const active: ActiveFault = { fault, routes, left: fault.times ?? 1, hits: 0 }
    this.#active.add(active)
    return {
      remove: () => void this.#active.delete(active),
      get hits() {
        return active.hits
      },
    }
  }

  /** Returns the fault that hits a request to this route, if any. */
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

  /** Removes all faults. */
  clear(): void {
    this.#active.clear()
  }
}

/** @throws {@link InvalidArgumentError} naming the field of a fault that is wrong */
function expectFields({ status, headers, body, delayMs, applyLate, applied, times, probability }: Fault): void {
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
