import { ContentError } from 'acestream-orchestrator-client'
import { EngineError } from './engine-request.ts'

/** Tags that a viewer gets (RFC 8216). All others are left out: they may name the engine, or promise features that the proxy does not have. */
const TAGS =
  /^#EXT(?:INF:|-X-(?:VERSION|DISCONTINUITY|KEY|MAP|PROGRAM-DATE-TIME|TARGETDURATION|PLAYLIST-TYPE|I-FRAMES-ONLY|MEDIA|STREAM-INF|I-FRAME-STREAM-INF|INDEPENDENT-SEGMENTS|START|GAP|SESSION-KEY|BITRATE)(?::|$))/
/** Tags of a whole playlist; the others belong to the next segment. */
const HEAD = /^#EXT-X-(?:VERSION|TARGETDURATION|PLAYLIST-TYPE|I-FRAMES-ONLY|INDEPENDENT-SEGMENTS|START)\b/
const URI_ATTRIBUTE = /\bURI="([^"]*)"/

/** A playlist whose URIs are names. */
export interface Playlist {
  /** Whether it lists playlists, one for each quality or language, instead of segments. */
  readonly isMaster: boolean
  readonly head: readonly string[]
  /** For each segment, or nested playlist, its tags and its name. */
  readonly entries: readonly (readonly string[])[]
  /** Number of the first segment. */
  readonly sequence: number
  /** Number of discontinuities before the first segment. */
  readonly discontinuitySequence: number
  /** Whether no segment will be added. */
  readonly isComplete: boolean
}

/** The kind of file that a URI names. */
export type FileKind = 'playlist' | 'file'

/**
 * Reads a playlist of an engine.
 *
 * @param nameOf returns the name by which viewers request a URI
 * @throws {@link ContentError} if the text is no playlist; {@link EngineError} if it needs byte ranges, which the proxy does not serve
 */
export function parsePlaylist(text: string, nameOf: (uri: string, kind: FileKind) => string): Playlist {
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/)
  if (lines[0]?.trimEnd() !== '#EXTM3U') throw new ContentError('the engine sent no playlist')
  if (/^#EXT-X-(?:BYTERANGE:|MAP:.*BYTERANGE=)/m.test(text)) throw new EngineError('the playlist of the engine needs byte ranges')
  const isMaster = lines.some((line) => line.startsWith('#EXT-X-STREAM-INF:'))
  const head: string[] = []
  const entries: string[][] = []
  let entry: string[] = []
  for (const line of lines.map((untrimmed) => untrimmed.trim())) {
    if (line !== '' && !line.startsWith('#')) {
      entries.push([...entry, nameOf(line, isMaster ? 'playlist' : 'file')])
      entry = []
    } else if (TAGS.test(line)) {
      const tag = renamed(line, (uri) => nameOf(uri, /^#EXT-X-(?:MEDIA|I-FRAME-STREAM-INF):/.test(line) ? 'playlist' : 'file'))
      // An address in another attribute names no file of this playlist.
      if (tag.includes('://')) continue
      if (HEAD.test(tag)) head.push(tag)
      else entry.push(tag)
    }
  }
  // A master playlist may end with tags that name playlists.
  if (isMaster && entry.length > 0) entries.push(entry)
  return {
    isMaster,
    head,
    entries,
    sequence: numberOf(lines, '#EXT-X-MEDIA-SEQUENCE:'),
    discontinuitySequence: numberOf(lines, '#EXT-X-DISCONTINUITY-SEQUENCE:'),
    isComplete: lines.some((line) => line.trimEnd() === '#EXT-X-ENDLIST'),
  }
}

/** Returns the text of a playlist. Names become URLs relative to the directory `prefix`: empty, or with a slash at its end. */
export function formatPlaylist(playlist: Playlist, prefix: string): string {
  const { isMaster, head, entries, sequence, discontinuitySequence, isComplete } = playlist
  const named = entries.flat().map((line) => (line.startsWith('#') ? renamed(line, (name) => prefix + name) : prefix + line))
  const numbers = isMaster
    ? []
    : [
        `#EXT-X-MEDIA-SEQUENCE:${sequence}`,
        ...(discontinuitySequence > 0 ? [`#EXT-X-DISCONTINUITY-SEQUENCE:${discontinuitySequence}`] : []),
      ]
  return `${['#EXTM3U', ...head, ...numbers, ...named, ...(isComplete ? ['#EXT-X-ENDLIST'] : [])].join('\n')}\n`
}

/** Renames the file of a tag. Leaves out the title of a segment, which can be any text. */
function renamed(line: string, nameOf: (uri: string) => string): string {
  if (line.startsWith('#EXTINF:')) return line.replace(/,.*/, ',')
  return line.replace(URI_ATTRIBUTE, (_, uri: string) => `URI="${nameOf(uri)}"`)
}

function numberOf(lines: readonly string[], tag: string): number {
  const digits = lines.find((line) => line.startsWith(tag))?.slice(tag.length) ?? '0'
  return /^\d{1,15}\s*$/.test(digits) ? Number(digits) : 0
}
