import type { Generation } from '../generation.ts'
import { type Check, httpUrl, integer, labels, literal, model, nullable, text } from './pydantic.ts'

/** Valid body of `stream_started`. */
export type StartBody = {
  container_id: string | null
  engine: { host: string; port: number }
  stream: { key_type: string; key: string }
  session: { playback_session_id: string; stat_url: string; command_url: string; is_live: number }
  labels: Record<string, string>
}

/** Valid body of `stream_ended`. */
export type EndBody = { container_id: string | null; stream_id: string | null; reason: string | null }

/** Valid body of a provision request. */
export type ProvisionBody = {
  image: string | null
  env: Record<string, string>
  labels: Record<string, string>
  host_port: number | null
}

const optionalText = { check: nullable(text), fallback: null }

/** 2026-04 accepts any text as a URL, and null. */
const looseUrl: Check<string> = (value, loc, issues) => (value === null ? '' : text(value, loc, issues))

const startOf = (keyTypes: readonly string[], url: { check: Check<string>; fallback?: string }): Check<StartBody> =>
  model<StartBody>({
    container_id: optionalText,
    engine: { check: model({ host: { check: text }, port: { check: integer } }) },
    stream: { check: model({ key_type: { check: literal(keyTypes) }, key: { check: text } }) },
    session: {
      check: model({ playback_session_id: { check: text }, stat_url: url, command_url: url, is_live: { check: integer } }),
    },
    labels: { check: labels, fallback: {} },
  })

const START_2025_10 = startOf(['content_id', 'infohash', 'url', 'magnet'], { check: httpUrl })
const START_2026_04 = startOf(['content_id', 'infohash', 'torrent_url', 'direct_url', 'raw_data', 'url', 'magnet'], {
  check: looseUrl,
  fallback: '',
})

/** Returns the schema of the body of `stream_started`. */
export const startBody = (generation: Generation): Check<StartBody> => (generation === '2025-10' ? START_2025_10 : START_2026_04)

/** The schema of the body of `stream_ended`. */
export const END_BODY: Check<EndBody> = model<EndBody>({ container_id: optionalText, stream_id: optionalText, reason: optionalText })

/** The schema of the body of a provision request. */
export const PROVISION_BODY: Check<ProvisionBody> = model<ProvisionBody>({
  image: optionalText,
  env: { check: labels, fallback: {} },
  labels: { check: labels, fallback: {} },
  host_port: { check: nullable(integer), fallback: null },
})
