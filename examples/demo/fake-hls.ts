import type { ServerResponse } from 'node:http'

/** Segments that a playlist shows. */
const WINDOW = 3

/** The HLS part of a fake engine. Each request for a playlist finds one more segment, unless the engine is frozen. */
export class FakeHls {
  /** Paths of the segments that were requested. */
  readonly requested: string[] = []
  /** How many times a playlist was requested. */
  playlistCount = 0
  /** Whether the engine responds, but adds no segments. */
  isFrozen = false
  /** Number of the first segment of a new session. */
  firstNumber = 0
  /** Content of each segment. @default the path of the segment */
  segment: Buffer | undefined
  /** Keeps the responses of segments open until {@link release}. */
  isHeld = false
  readonly #held = new Set<ServerResponse>()
  readonly #last = new Map<string, number>()

  /** Answers with the playlist of a session. Its URLs are absolute, as those of real engines. */
  sendPlaylist(session: string, base: string, response: ServerResponse): void {
    this.playlistCount++
    const last = this.#last.get(session) ?? this.firstNumber + WINDOW - 2
    const first = last + Number(!this.isFrozen) - WINDOW + 1
    this.#last.set(session, last + Number(!this.isFrozen))
    const segments = Array.from({ length: WINDOW }, (_, index) => `#EXTINF:2.0,\n${base}/c/${session}/${first + index}.ts`)
    const lines = ['#EXTM3U', '#EXT-X-VERSION:3', '#EXT-X-TARGETDURATION:2', `#EXT-X-MEDIA-SEQUENCE:${first}`, ...segments, '']
    response.writeHead(200, { 'content-type': 'application/vnd.apple.mpegurl' }).end(lines.join('\n'))
  }

  /** Answers with a segment. */
  sendSegment(path: string, response: ServerResponse): void {
    this.requested.push(path)
    response.writeHead(200, { 'content-type': 'video/mp2t' })
    const data = this.segment ?? Buffer.from(path)
    if (!this.isHeld) return void response.end(data)
    response.write(data)
    this.#held.add(response)
    response.once('close', () => this.#held.delete(response))
  }

  /** Number of segments that are kept open. */
  get heldCount(): number {
    return this.#held.size
  }

  /** Completes the segments that were kept open. */
  release(): void {
    for (const response of this.#held) response.end()
  }
}
