/** What a row found: the cost of an operation, and the cost of its peer in the same run if the row has one. Both in the unit of the row. */
export interface Figure {
  cost: number
  peer?: number
}

/**
 * One figure with a goal. Each row is measured in a new process that was started with `--expose-gc`, so it meets no other row's garbage and no code that
 * another row made slow or fast.
 */
export interface Row {
  /** Names the row in `--only <id>` and in `BENCHMARKS.md`: lower case, words with hyphens. */
  readonly id: string
  /** The operation whose cost is measured. */
  readonly what: string
  /** What the cost is compared with: the floor of any implementation, or another library. Omitted: the cost itself is compared with the goal. */
  readonly peer?: string
  /** The unit of the cost, such as `µs`. */
  readonly unit: string
  /** The goal is met up to this value: a multiple of the peer's cost if there is a peer, else a number of units. */
  readonly goal: number
  /** `counted`: the same on every machine at any load, so that a merge can depend on it. `timed`: depends on time, or on V8. */
  readonly kind: 'timed' | 'counted'
  /** Why the goal is missed, if that is known. */
  readonly miss?: KnownMiss
  measure(): Promise<Figure>
}

/** A goal that is missed for a reason that is known. */
export interface KnownMiss {
  /** A check passes up to this value, so that the cost does not grow unnoticed. In the unit of the goal. */
  readonly upTo: number
  /** What the cost consists of: sentences, printed below the table. */
  readonly because: string
}

/** One line of a {@link Table}: the values by the names of the columns. */
export type Line = Readonly<Record<string, string | number>>

/** Figures that have no goal, such as a comparison of several clients. */
export interface Table {
  /** Names the table in `--only <id>`, as {@link Row.id}. */
  readonly id: string
  readonly title: string
  measure(): Promise<readonly Line[]>
}

/** Rows and tables that are measured in the same way. They share a section of `BENCHMARKS.md`. */
export interface Group {
  readonly title: string
  /** How the figures are measured, and what they mean for a user: the text of the section. */
  readonly about: string
  readonly rows?: readonly Row[]
  readonly tables?: readonly Table[]
}

/** A row after its measurement. `figure` is `undefined` if it could not be measured, for the reason in `failure`. */
export interface MeasuredRow {
  readonly row: Row
  readonly figure: Figure | undefined
  readonly failure?: string
}

/** Digits of a figure that are printed. */
export const DIGITS = 3

/** The value that is compared with the goal: the ratio to the peer, or the cost itself. */
export function measuredValue({ cost, peer }: Figure): number {
  return peer === undefined ? cost : cost / peer
}

/** Whether the goal is met. A row that could not be measured misses its goal. */
export function isMet({ row, figure }: MeasuredRow): boolean {
  return figure !== undefined && comparedValue(row, figure) <= row.goal
}

/** Whether a check passes: the goal is met, or missed by no more than is known. */
export function passes(measured: MeasuredRow): boolean {
  const { row, figure } = measured
  return isMet(measured) || (figure !== undefined && row.miss !== undefined && comparedValue(row, figure) <= row.miss.upTo)
}

/** Times are compared as they are printed, with three digits. */
function comparedValue(row: Row, figure: Figure): number {
  const value = measuredValue(figure)
  return row.kind === 'timed' ? Number(value.toPrecision(DIGITS)) : value
}
