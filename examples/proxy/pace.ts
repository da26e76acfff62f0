/** How often the pace of a viewer is checked within the time after which a slow viewer is dropped. */
const CHECKS = 4

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

/**
 * Checks the pace of a viewer who gets something that has an end. It never has to catch up, but must not let data wait at more than
 * {@link CHECKS} checks in all.
 *
 * @param isDataWaiting whether data waits for the viewer now
 * @param drop called once, if it is too slow
 * @returns a function that ends the checks
 */
export function checkPace(slowViewerTimeoutMs: number, isDataWaiting: () => boolean, drop: () => void): () => void {
  const pace = new Pace()
  const intervalMs = checkIntervalMs(slowViewerTimeoutMs)
  const check = (): void => {
    if (isDataWaiting() && pace.isTooSlow()) drop()
    else timer = setTimeout(check, intervalMs)
  }
  let timer = setTimeout(check, intervalMs)
  return () => clearTimeout(timer)
}

/** Time between two checks. */
export function checkIntervalMs(slowViewerTimeoutMs: number): number {
  return Math.max(1, Math.round(slowViewerTimeoutMs / CHECKS))
}
