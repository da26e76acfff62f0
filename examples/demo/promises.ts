/** A promise of the client, and whether it was kept. */
export interface PromiseKept {
  isKept: boolean
  text: string
}

/** Formats the figures and the promises. Returns whether all promises were kept. */
export function conclude(figures: readonly string[], promises: readonly PromiseKept[]): { lines: string[]; isKept: boolean } {
  const broken = promises.filter(({ isKept }) => !isKept)
  const conclusion = broken.length === 0 ? 'Every promise was kept.' : `BROKEN: ${broken.map(({ text }) => text).join('; ')}`
  const list = promises.map(({ isKept, text }) => `  ${isKept ? 'kept  ' : 'BROKEN'}  ${text}`)
  return { lines: [...figures, '', ...list, '', conclusion], isKept: broken.length === 0 }
}
