import type { Playlist } from './playlist.ts'

const DISCONTINUITY = '#EXT-X-DISCONTINUITY'

/**
 * Joins the playlists of several sessions, so that a player continues when another engine plays the content: segment numbers go on, and the
 * first segment of the new session is marked as a discontinuity.
 */
export class Timeline {
  #session: unknown
  /** Added to the segment numbers of the session. */
  #offset = 0
  /** Added to the discontinuity numbers of the session. */
  #discontinuityOffset = 0
  /** Number of the first segment of the session, if another session was before it. */
  #firstNumber: number | undefined
  /** Number of the segment after the last one, and of the discontinuities before it. */
  #next = { sequence: 0, discontinuity: 0 }

  /** Returns the playlist of a session with the numbers of this timeline. */
  place(session: object, playlist: Playlist): Playlist {
    if (this.#session !== session) this.#begin(session, playlist)
    const sequence = playlist.sequence + this.#offset
    const first = this.#firstNumber
    const isPast = first !== undefined && first < sequence
    const discontinuitySequence = playlist.discontinuitySequence + this.#discontinuityOffset + Number(isPast)
    const entries = playlist.entries.map((entry, index) =>
      sequence + index === first && !entry.includes(DISCONTINUITY) ? [DISCONTINUITY, ...entry] : entry,
    )
    // Another request may have placed a newer playlist already.
    if (sequence + entries.length >= this.#next.sequence) {
      const marks = entries.filter((entry) => entry.includes(DISCONTINUITY)).length
      this.#next = { sequence: sequence + entries.length, discontinuity: discontinuitySequence + marks }
    }
    return { ...playlist, entries, sequence, discontinuitySequence }
  }

  #begin(session: object, { sequence, discontinuitySequence }: Playlist): void {
    if (this.#session !== undefined) {
      this.#offset = this.#next.sequence - sequence
      this.#discontinuityOffset = this.#next.discontinuity - discontinuitySequence
      this.#firstNumber = this.#next.sequence
    }
    this.#session = session
  }
}
