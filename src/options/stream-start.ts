import { InvalidArgumentError } from '../errors.ts'
import type { Content } from '../model/content.ts'
import type { EngineAddress } from '../model/engine.ts'
import type { KeyType, StartEvent, StreamStart } from '../model/stream.ts'
import type { NamesOf } from '../runtime/validate.ts'
import {
  expectBoolean,
  expectHttpUrl,
  expectNoMisspelling,
  expectObject,
  expectOptions,
  expectText,
  expectTexts,
} from '../runtime/validate.ts'

/** The longest id. A host with longer keys must pass a `streamId`. */
const MAX_STREAM_ID_LENGTH = 2_048

/** The longest key, and the longest playback session id. */
export const MAX_KEY_LENGTH = 8_192

const STREAM_START_NAMES: NamesOf<StreamStart> = { keyType: true, key: true, session: true, streamId: true, labels: true }

const REQUIRED_OF_SESSION = ['playbackSessionId', 'statUrl', 'commandUrl'] satisfies (keyof StreamStart['session'])[]

const CONTENT_NAMES: NamesOf<Content> = { keyType: true, key: true }

const KEY_TYPES: readonly KeyType[] = ['content_id', 'infohash', 'url', 'magnet']

/**
 * Checks a host's start of a stream, and makes an event of it. An orchestrator rejects a start with an empty `stat_url`. Proxies that
 * nevertheless sent an end for such a start ended other viewers' streams (H3), so it is rejected here, before anything is sent.
 *
 * @throws {@link InvalidArgumentError} naming the field that is wrong
 */
export function toStartEvent(start: StreamStart, engine: { containerId?: string | undefined; address: EngineAddress }): StartEvent {
  expectOptions(start, STREAM_START_NAMES, { name: 'start', signalGoes: 'as the second argument' })
  const keyType = expectKeyType('keyType', start.keyType)
  const key = expectText('key', start.key, MAX_KEY_LENGTH)
  const session = expectObject('session', start.session)
  expectNoMisspelling(session, REQUIRED_OF_SESSION, 'session.')
  const playbackSessionId = expectText('session.playbackSessionId', session['playbackSessionId'], MAX_KEY_LENGTH)
  expectHttpUrl('session.statUrl', session['statUrl'])
  expectHttpUrl('session.commandUrl', session['commandUrl'])
  const isLive = session['isLive'] === undefined ? true : expectBoolean('session.isLive', session['isLive'])
  const streamId = expectStreamId(start.streamId ?? `${key}|${playbackSessionId}`)
  const labels = start.labels === undefined ? {} : expectTexts('labels', start.labels)
  const event = {
    streamId,
    address: engine.address,
    keyType,
    key,
    // Unchanged, not as the URL parser writes them: operators compare the orchestrator's URLs with the answers of their engines.
    session: { playbackSessionId, statUrl: String(session['statUrl']), commandUrl: String(session['commandUrl']), isLive },
    labels: { ...labels },
  }
  return engine.containerId === undefined ? event : { ...event, containerId: engine.containerId }
}

/**
 * Checks a stream id. An end with an empty one would end another stream (H1).
 *
 * @throws {@link InvalidArgumentError} naming `streamId`
 */
export function expectStreamId(value: unknown): string {
  return expectText('streamId', value, MAX_STREAM_ID_LENGTH)
}

/**
 * Checks a content that a host names, by the rules for a start.
 *
 * @throws {@link InvalidArgumentError} naming the field that is wrong, under `name`
 */
export function expectContent(name: string, value: unknown): Content {
  const { keyType, key } = expectOptions(value, CONTENT_NAMES, { name, prefix: `${name}.` })
  return { keyType: expectKeyType(`${name}.keyType`, keyType), key: expectText(`${name}.key`, key, MAX_KEY_LENGTH) }
}

/** One of the kinds of keys. */
export function expectKeyType(name: string, value: unknown): KeyType {
  const keyType = KEY_TYPES.find((known) => known === value)
  if (keyType === undefined) throw new InvalidArgumentError(name, "'content_id', 'infohash', 'url' or 'magnet'")
  return keyType
}
