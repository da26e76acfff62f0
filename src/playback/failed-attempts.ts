import { DEFAULT_RETRY_AFTER_MS, OrchestratorError, PlaybackError } from '../errors.ts'
import type { Engine } from '../model/engine.ts'
import type { ResolvedOpenOptions } from '../options/resolve-playback.ts'
import type { PlaybackAttempt } from '../playback-errors.ts'
import { listCauses, readText } from '../runtime/error-fields.ts'
import { isUnreachable } from '../runtime/unreachable.ts'

/** An engine on which the playback could not be opened. */
export interface Tried extends Pick<PlaybackAttempt, 'error'> {
  readonly engine: Engine
}

/** Length to which a message cuts a key: a magnet link may have thousands of characters. */
const MAX_SHOWN_KEY = 100

/** The key of a content, as messages show it. */
export const shownKey = (key: string): string => (key.length > MAX_SHOWN_KEY ? `${key.slice(0, MAX_SHOWN_KEY)}…` : key)

/**
 * Makes the error of an opening that failed on every engine. Its message says where and why.
 *
 * @param refusal why no further engine could be acquired
 */
export function failed<T>({ keyType, key }: ResolvedOpenOptions<T>, attempts: readonly Tried[], refusal?: unknown): PlaybackError {
  const texts = attempts.map(({ engine, error }) => {
    const place = placeOf(engine)
    const text = textOf(error)
    return text.includes(place) ? text : `${place}: ${text}`
  })
  if (refusal !== undefined) texts.push(`no further engine: ${textOf(refusal).replace(/\.$/, '')}`)
  const retryAfterMs = refusal instanceof OrchestratorError && 'retryAfterMs' in refusal ? refusal.retryAfterMs : undefined
  const advice = attempts.every(({ error }) => isUnreachable(error)) ? `. ${UNREACHABLE}` : ''
  return new PlaybackError(`No engine could play ${keyType} ${shownKey(key)}: ${texts.join('; ')}${advice}`, {
    attempts: attempts.map(({ engine, error }) => ({ containerId: engine.containerId, error })),
    retryAfterMs: retryAfterMs ?? DEFAULT_RETRY_AFTER_MS,
    cause: attempts.at(-1)?.error,
  })
}

const UNREACHABLE =
  'They cannot be reached from here: check their addresses with npx acestream-orchestrator-client doctor, and see the option mapEngine'

/** An engine, as messages name it. */
export const placeOf = ({ containerId, host, port }: Engine): string =>
  `${containerId ? `engine ${containerId}` : 'the fallback engine'} at ${host}:${port}`

/** The messages of an error and of its causes: that of `fetch` is always `fetch failed`. */
function textOf(error: unknown): string {
  const texts = listCauses(error).map((link) =>
    typeof link === 'object' ? readText(link, 'message') || readText(link, 'code') : String(link),
  )
  return [...new Set(texts)].filter((text) => text !== '').join(': ') || 'no message'
}
