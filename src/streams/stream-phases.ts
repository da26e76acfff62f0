import type { StreamState } from '../model/stream.ts'

/**
 * The transitions of a stream: for each phase, the events that may happen in it, each with the phase that follows. Any other event throws.
 *
 * The phases:
 * - `starting`: its start waits to be sent, or is being sent.
 * - `unconfirmed`: sending its start was given up. Reconciliation finds it in a list, or starts it again.
 * - `live`: the orchestrator accepted its start.
 * - `rejected`: the orchestrator rejected its start, and no attempt was applied. The host may play it: its slot stays taken until the host
 *   ends it.
 * - `disputed`: as `rejected`, but an earlier attempt may have been applied (H4): an end must be sent.
 * - `closing`: it is over, and the host closes its playback. It keeps its slot until then, and its end is not queued yet.
 * - `ending`: its end waits to be sent, or is being sent.
 * - `ended`: its end was delivered, given up or not needed.
 * - `discarded`: over, and its start was rejected: no end is sent.
 * - `lost`: over, because its engine is gone. Its end is sent all the same, unless no start was sent.
 */
export const STREAM_TRANSITIONS = {
  starting: {
    startAccepted: 'starting',
    confirmed: 'live',
    startGivenUp: 'unconfirmed',
    startRejected: 'rejected',
    startDisputed: 'disputed',
    closeBegun: 'closing',
    endQueued: 'ending',
  },
  unconfirmed: {
    startedAgain: 'starting',
    startAccepted: 'unconfirmed',
    confirmed: 'live',
    closeBegun: 'closing',
    endQueued: 'ending',
    engineLost: 'lost',
  },
  live: { startedAgain: 'starting', closeBegun: 'closing', endQueued: 'ending', engineLost: 'lost' },
  rejected: { closeBegun: 'closing', discarded: 'discarded' },
  disputed: { closeBegun: 'closing', endQueued: 'ending' },
  // A start that was under way when the host ended the stream still has an outcome, in this phase and in the next.
  closing: {
    startAccepted: 'closing',
    startGivenUp: 'closing',
    startRejected: 'closing',
    startDisputed: 'closing',
    endQueued: 'ending',
    discarded: 'discarded',
  },
  ending: {
    startAccepted: 'ending',
    startGivenUp: 'ending',
    startRejected: 'discarded',
    startDisputed: 'ending',
    endSettled: 'ended',
    slotReleased: 'ending',
  },
  ended: { slotReleased: 'ended' },
  discarded: { slotReleased: 'discarded' },
  lost: { endSettled: 'lost', slotReleased: 'lost' },
} as const

/** A phase of a stream's life. */
export type StreamPhase = keyof typeof STREAM_TRANSITIONS

/** An event in the life of a stream. */
export type StreamTransition = { [P in StreamPhase]: keyof (typeof STREAM_TRANSITIONS)[P] }[StreamPhase]

/** The phases that may follow an event. */
export type PhaseAfter<E extends StreamTransition> = {
  [P in StreamPhase]: (typeof STREAM_TRANSITIONS)[P] extends { readonly [K in E]: infer Next } ? Next : never
}[StreamPhase]

/**
 * Returns the phase that follows an event.
 *
 * @param id of the stream, for the error
 * @throws {Error} if the event cannot happen in this phase
 */
export function phaseAfter<E extends StreamTransition>(phase: StreamPhase, event: E, id: string): PhaseAfter<E> {
  const transitions: Partial<Record<StreamTransition, StreamPhase>> = STREAM_TRANSITIONS[phase]
  const next = transitions[event]
  if (next === undefined) throw new Error(`Defect: stream ${id} is ${phase}, and ${event} cannot happen then`)
  return next as PhaseAfter<E>
}

/** Whether a stream in this phase is over in this client, for any reason. */
export function isOverIn(phase: StreamPhase): boolean {
  return phase === 'closing' || phase === 'ending' || phase === 'ended' || phase === 'discarded' || phase === 'lost'
}

/** The state that the host sees in each phase. */
export const STATES: Readonly<Record<StreamPhase, StreamState>> = {
  starting: 'announcing',
  unconfirmed: 'announcing',
  live: 'live',
  rejected: 'refused',
  disputed: 'refused',
  closing: 'ending',
  ending: 'ending',
  ended: 'ended',
  discarded: 'refused',
  lost: 'lost',
}

/** Whether the orchestrator has a start that it did not reject. `maybe`: the outcome of an attempt is unknown; it may be applied later (H4). */
export type Announcement = 'unsent' | 'maybe' | 'accepted'

/** A phase, with what is known in it of the start. */
export type PhaseRecord =
  | { readonly phase: 'starting' | 'unconfirmed' | 'ending' | 'ended'; readonly announcement: Announcement }
  | { readonly phase: 'live'; readonly announcement: 'accepted' }
  | { readonly phase: 'disputed'; readonly announcement: 'maybe' }
  | { readonly phase: 'closing'; readonly announcement: Announcement | 'rejected' }
  | { readonly phase: 'rejected' | 'discarded'; readonly announcement: 'rejected' }
  | { readonly phase: 'lost'; readonly announcement: Announcement }
