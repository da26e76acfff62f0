/** How often the pace of a viewer is checked within the time after which a slow viewer is dropped. */
export const CHECKS = 4

/**
 * Whether a viewer reads as fast as the video arrives. It does not while data waits for it, and after it skipped data until it has read the next
 * `MAX_BACKLOG_BYTES` of the video without another gap: a gap alone makes nobody faster.
 */
export class Pace {
  /** Number of checks since the viewer last kept up. */
  #checksBehind = 0
  /** Position in the video up to which it must read without a gap. */
  #mustReach = 0

  /** Records that the viewer has read all data, up to this position. */
  caughtUp(position: number): void {
    if (position >= this.#mustReach) this.#checksBehind = 0
  }

  /** Records that the viewer skips data, and must read up to this position without another gap. */
  skipped(mustReach: number): void {
    this.#mustReach = mustReach
  }

  /** Counts a check of a viewer for whom data waits. Returns whether it was too slow for so many checks that it must be dropped. */
  isTooSlow(): boolean {
    this.#checksBehind += 1
    return this.#checksBehind > CHECKS
  }
}
