/** Names that differ in more are not typing errors of each other; of long names a third may differ. */
const MOST_EDITS = 2
/** Longer ones are compared by their beginning: a host's key may have any length. */
const LONGEST_COMPARED = 100
/** `key` is meant for `apiKey`, but `a` for nothing. */
const SHORTEST_PART = 3

/**
 * The name of `known` that somebody who wrote `name` most likely meant: one that differs by a few letters, in case or underscores (`stat_url`
 * for `statUrl`), or in a part left out (`wait` for `waitMs`).
 */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  let nearest: string | undefined
  let fewest = Number.POSITIVE_INFINITY
  for (const candidate of known) {
    const [a, b] = [folded(name), folded(candidate)]
    const edits = editDistance(a, b)
    const isPart = Math.min(a.length, b.length) >= SHORTEST_PART && (a.includes(b) || b.includes(a))
    if (edits >= fewest || !(isPart || edits <= Math.max(MOST_EDITS, Math.floor(Math.min(a.length, b.length) / 3)))) continue
    nearest = candidate
    fewest = edits
  }
  return nearest
}

const folded = (name: string): string => name.slice(0, LONGEST_COMPARED).toLowerCase().replaceAll(/[_-]/g, '')

/** Letters to insert, delete or replace (Levenshtein). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i += 1) {
    const above = row
    row = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (above[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(replaced, (above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1))
    }
  }
  return row[b.length] ?? 0
}
