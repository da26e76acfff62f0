import type { Fault, Generation } from 'acestream-orchestrator-client/testing'
import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import fc from 'fast-check'

/** Limits of the calls in all worlds, milliseconds. */
export const OPEN_TIMEOUT_MS = 4_000
export const CLOSE_TIMEOUT_MS = 1_500

/** A moment of a run: the first time that this happens for a content after `afterMs`, and some microtasks later. */
export interface Moment {
  readonly point: Point
  readonly afterMs: number
  readonly microtasks: number
}
const POINTS = ['time', 'open called', 'opened', 'start sent', 'start answered', 'close called', 'closed', 'viewer:joined'] as const
export type Point = (typeof POINTS)[number]

/** One viewer, from its arrival until it is gone. */
export interface Viewer {
  readonly call: 'open' | 'join' | 'acquire'
  readonly client: number
  readonly content: number
  /** Whether it writes the key in capitals, which is the same content. */
  readonly inCapitals: boolean
  readonly variant: 'hls' | undefined
  readonly arrivesAt: number
  readonly waitMs: number
  readonly provision: boolean
  /** The number of an engine that it does not want. */
  readonly exclude: number | undefined
  readonly lingerMs: number
  readonly engineAttempts: number
  /** When it aborts its call. */
  readonly aborts: Moment | undefined
  readonly watchesMs: number
  readonly goes: 'leave' | 'end' | 'fail' | 'end by id' | 'dispose'
  /** How often it calls again when its call was rejected or its stream is lost, and how long after. */
  readonly retries: number
  readonly retryMs: number
}

/** How one call of the host's `open` or `close` goes. */
export interface Manner {
  readonly delayMs: number
  readonly how: 'works' | 'unreachable' | 'fails' | 'no content' | 'throws' | 'wrong session' | 'never'
}

export type Disturbance =
  | { readonly kind: 'fault'; readonly fault: Fault }
  | { readonly kind: 'restart'; readonly downMs: number }
  | { readonly kind: 'removeEngine' | 'drainEngine'; readonly index: number }
  | { readonly kind: 'addEngine' | 'refuse' | 'flush' | 'sweep' | 'reconcile' | 'clearFaults' }
  | { readonly kind: 'store away'; readonly forMs: number }

/** One run. */
export interface World {
  readonly generation: Generation
  readonly engines: number
  readonly limit: number
  readonly store: 'own' | 'at once' | 'later' | 'much later'
  readonly clients: number
  /** Whether the host names the streams: all streams of a content have one id then. */
  readonly hasOwnIds: boolean
  readonly hasFallback: boolean
  readonly seed: number
  readonly slowestMs: number
  readonly viewers: readonly Viewer[]
  readonly opens: readonly Manner[]
  readonly closes: readonly Manner[]
  readonly disturbances: readonly { readonly at: number; readonly what: Disturbance }[]
  readonly closing: { readonly when: Moment; readonly timeoutMs: number } | undefined
}

/** Moments at which most goes wrong are tried more often. */
const REPEATED: readonly Point[] = ['opened', 'start answered', 'start answered', 'viewer:joined', 'viewer:joined']
const moment: fc.Arbitrary<Moment> = fc.record({
  point: fc.constantFrom(...POINTS, ...REPEATED),
  afterMs: fc.constantFrom(0, 0, 1, 50, 300, 1_000, 2_500, 6_000, 15_000),
  microtasks: fc.oneof(fc.constant(0), fc.nat(50), fc.integer({ min: 25, max: 40 })),
})

const viewer = (isCalm: boolean): fc.Arbitrary<Viewer> =>
  fc.record({
    call: fc.constantFrom('join', 'join', 'join', 'join', 'open', 'acquire'),
    client: fc.nat(1),
    content: fc.constantFrom(0, 0, 0, 1, 1, 2, 3, 4),
    inCapitals: fc.boolean(),
    variant: fc.constantFrom(undefined, undefined, undefined, 'hls' as const),
    arrivesAt: fc.constantFrom(0, 0, 0, 1, 100, 600, 1_200, 2_000, 3_000, 4_500, 7_000, 12_000),
    waitMs: fc.constantFrom(0, 300, 1_000, 3_000, 10_000, 40_000),
    provision: fc.boolean(),
    exclude: isCalm ? fc.constant(undefined) : fc.constantFrom(undefined, undefined, undefined, 0, 1),
    lingerMs: fc.constantFrom(0, 0, 500, 3_000, 20_000),
    engineAttempts: fc.constantFrom(1, 2, 2, 3),
    aborts: fc.option(moment, { nil: undefined, freq: 3 }),
    watchesMs: fc.constantFrom(0, 0, 10, 700, 2_500, 8_000),
    goes: fc.constantFrom('leave', 'leave', 'leave', 'leave', 'end', 'fail', 'end by id', 'dispose'),
    retries: fc.constantFrom(0, 0, 1, 2),
    retryMs: fc.constantFrom(0, 0, 200, 1_100),
  })

const opens = (isCalm: boolean): fc.Arbitrary<Manner> =>
  fc.record({
    delayMs: isCalm ? fc.constantFrom(0, 0, 40, 900) : fc.constantFrom(0, 0, 40, 900, 3_900, 4_000, 4_800, 7_000),
    how: isCalm
      ? fc.constant('works' as const)
      : fc.constantFrom('works', 'works', 'works', 'works', 'unreachable', 'fails', 'no content', 'throws', 'wrong session', 'never'),
  })

const closes = (isCalm: boolean): fc.Arbitrary<Manner> =>
  fc.record({
    delayMs: isCalm ? fc.constantFrom(0, 0, 40, 1_000) : fc.constantFrom(0, 0, 40, 1_000, 1_500, 2_600),
    how: isCalm ? fc.constant('works' as const) : fc.constantFrom('works', 'works', 'works', 'works', 'fails', 'throws', 'never'),
  })

const STREAM_ROUTES = ['POST /events/stream_started', 'POST /events/stream_ended']
const fault: fc.Arbitrary<Fault> = fc
  .record({
    kind: fc.constantFrom('lost-answer' as const, 'lost-request' as const, 'delay' as const, 'refused' as const, 'status' as const),
    route: fc.constantFrom(undefined, ...STREAM_ROUTES, ...STREAM_ROUTES, 'GET /engines'),
    status: fc.constantFrom(422, 422, 500, 503),
    delayMs: fc.constantFrom(400, 2_500),
    times: fc.constantFrom(1, 1, 2, 5),
  })
  .map(({ kind, route, status, delayMs, times }) => ({
    kind,
    times,
    ...(route !== undefined && { route }),
    ...(kind === 'status' && { status, body: '{"detail":[]}' }),
    ...(kind === 'delay' && { delayMs }),
  }))

const disturbance: fc.Arbitrary<Disturbance> = fc.oneof(
  { weight: 6, arbitrary: fault.map((injected): Disturbance => ({ kind: 'fault', fault: injected })) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const), downMs: fc.constantFrom(0, 2_000) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('removeEngine', 'drainEngine'), index: fc.nat(3) }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom('addEngine', 'refuse', 'flush', 'sweep', 'reconcile', 'clearFaults') }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('store away' as const), forMs: fc.constantFrom(300, 2_000) }) },
)

function worldOf(isCalm: boolean): fc.Arbitrary<World> {
  return fc.record({
    generation: fc.constantFrom(...GENERATIONS),
    engines: fc.integer({ min: 1, max: 4 }),
    limit: fc.integer({ min: 1, max: 2 }),
    store: fc.constantFrom('own', 'at once', 'later', 'much later'),
    clients: fc.constantFrom(1, 1, 2),
    hasOwnIds: fc.constantFrom(false, false, false, true),
    hasFallback: isCalm ? fc.constant(false) : fc.constantFrom(false, false, true),
    seed: fc.integer({ min: 1, max: 1_000_000 }),
    slowestMs: isCalm ? fc.constantFrom(0, 0, 30) : fc.constantFrom(0, 0, 30, 500),
    viewers: fc.array(viewer(isCalm), { minLength: 1, maxLength: 14 }),
    opens: fc.array(opens(isCalm), { minLength: 1, maxLength: 8 }),
    closes: fc.array(closes(isCalm), { minLength: 1, maxLength: 6 }),
    disturbances: fc.array(fc.record({ at: fc.constantFrom(0, 50, 700, 1_500, 3_000, 6_000, 11_000), what: disturbance }), {
      maxLength: isCalm ? 0 : 4,
    }),
    closing: isCalm
      ? fc.constant(undefined)
      : fc.option(fc.record({ when: moment, timeoutMs: fc.constantFrom(0, 700, 5_000, 30_000) }), { nil: undefined, freq: 3 }),
  })
}

/** A world in which nothing fails. */
export const calmWorld = worldOf(true)

/** A world in which anything may fail. */
export const wildWorld = worldOf(false)
