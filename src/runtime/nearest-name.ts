/** Longer names are compared by their beginning: a host's key may have any length. */
const LONGEST_COMPARED = 100
/** `key` is meant for `apiKey`, but `a` for nothing. */
const SHORTEST_PART = 3

/**
 * The name of `known` that a person who wrote `name` most likely meant: a name that differs in a third of its letters at most, in case or in
 * underscores (`stat_url` for `statUrl`), or the only name that begins or ends with the other (`wait` for `waitMs`). A wrong guess misleads, so
 * the answer is `undefined` where it is not clear which name was meant.
 */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const byEdits = known.map((candidate) => ({ candidate, edits: editsBetween(name, candidate) })).sort((a, b) => a.edits - b.edits)
  const [nearest] = byEdits
  if (nearest === undefined) return undefined
  // One letter is a typing error, also beside a longer name that begins alike.
  if (nearest.edits <= 1) return nearest.candidate
  const longer = known.filter((candidate) => isPart(name, candidate))
  if (longer.length > 0) return onlyOf(longer)
  if (nearest.edits <= Math.max(folded(name).length, folded(nearest.candidate).length) / 3) return nearest.candidate
  return onlyOf(known.filter((candidate) => isPart(candidate, name)))
}

/** Whether two spellings are of one name: they differ in case, underscores or hyphens only. */
export const isSameName = (a: string, b: string): boolean => folded(a) === folded(b)

const onlyOf = (names: readonly string[]): string | undefined => (names.length === 1 ? names[0] : undefined)

/** Whether `whole` begins or ends with `part`. */
function isPart(part: string, whole: string): boolean {
  const [short, long] = [folded(part), folded(whole)]
  return short.length >= SHORTEST_PART && (long.startsWith(short) || long.endsWith(short))
}

const editsBetween = (a: string, b: string): number => editDistance(folded(a), folded(b))

const folded = (name: string): string => name.slice(0, LONGEST_COMPARED).toLowerCase().replaceAll(/[_-]/g, '')

/** Letters to insert, delete, replace or exchange with the next (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let above: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i += 1) {
    const aboveThat = above
    above = row
    row = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (above[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const isExchange = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const exchanged = isExchange ? (aboveThat[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY
      row.push(Math.min(replaced, exchanged, (above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1))
    }
  }
  return row[b.length] ?? 0
}
