/** Writes a plot as SVG: lines on two logarithmic axes, each with its name beside its end. */

/** One line of a plot. */
export interface Series {
  readonly name: string
  /** Pairs of x and y, both above 0, by increasing x. */
  readonly points: readonly (readonly [number, number])[]
}

export interface Plot {
  readonly title: string
  /** With the unit. */
  readonly xLabel: string
  readonly yLabel: string
  /** Values of x that are marked. */
  readonly xTicks: readonly number[]
  readonly series: readonly Series[]
}

const WIDTH = 720
const HEIGHT = 400
const AREA = { left: 64, right: 530, top: 48, bottom: 344 }
/** The least distance between the names of two lines. */
const NAME_HEIGHT = 16
const STYLE = `text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-weight:600;font-size:15px}.grid{stroke:#d0d7de}.line{fill:none;stroke-width:2}
.s0{stroke:#0969da;fill:#0969da}.s1{stroke:#bc4c00;fill:#bc4c00}.s2{stroke:#8250df;fill:#8250df;stroke-dasharray:6 5}.s3{stroke:#57606a;fill:#57606a}.line,.grid{fill:none}text.name{stroke:none}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#3d444d}.s0{stroke:#58a6ff;fill:#58a6ff}.s1{stroke:#f0883e;fill:#f0883e}.s2{stroke:#bc8cff;fill:#bc8cff}
.s3{stroke:#9198a1;fill:#9198a1}.line,.grid{fill:none}text.name{stroke:none}}`

/** The text of the SVG file. */
export function svgOf({ title, xLabel, yLabel, xTicks, series }: Plot): string {
  const points = series.flatMap((line) => line.points)
  const yTicks = decades(points.map(([, y]) => y))
  const x = scale(xTicks, AREA.left, AREA.right)
  const y = scale(yTicks, AREA.bottom, AREA.top)
  const heights = apart(series.map((line) => y(line.points.at(-1)?.[1] ?? 1)))
  const parts = [
    ...yTicks.flatMap((tick) => [line(AREA.left, y(tick), AREA.right, y(tick)), text(AREA.left - 8, y(tick) + 4, number(tick), 'end')]),
    ...xTicks.flatMap((tick) => [
      line(x(tick), AREA.bottom, x(tick), AREA.bottom + 5),
      text(x(tick), AREA.bottom + 20, number(tick), 'middle'),
    ]),
    text((AREA.left + AREA.right) / 2, AREA.bottom + 42, xLabel, 'middle'),
    `<text x="16" y="24" class="title">${escaped(title)}</text>`,
    `<text transform="translate(16 ${(AREA.top + AREA.bottom) / 2}) rotate(-90)" text-anchor="middle">${escaped(yLabel)}</text>`,
    ...series.map(({ points }, index) => `<polyline class="line s${index}" points="${coordinates(points, x, y)}"/>`),
    ...series.map(({ name }, index) => nameAt(name, index, (heights[index] ?? 0) + 4)),
  ]
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(title)}">`
  return `${head}\n<style>${STYLE}</style>\n${parts.join('\n')}\n</svg>\n`
}

/** The powers of ten around the values. */
export function decades(values: readonly number[]): number[] {
  const from = Math.floor(Math.log10(Math.min(...values)))
  const to = Math.max(from + 1, Math.ceil(Math.log10(Math.max(...values))))
  return Array.from({ length: to - from + 1 }, (_, index) => 10 ** (from + index))
}

/** Maps the logarithms of the values between the first and the last tick to coordinates. */
function scale(ticks: readonly number[], from: number, to: number): (value: number) => number {
  const [low, high] = [Math.log10(Math.min(...ticks)), Math.log10(Math.max(...ticks))]
  return (value) => from + ((Math.log10(value) - low) / (high - low)) * (to - from)
}

/** Moves heights that are too close to each other, so that the names do not overlap. */
export function apart(heights: readonly number[]): number[] {
  const moved = [...heights]
  const order = heights.map((_, index) => index).sort((a, b) => (heights[a] ?? 0) - (heights[b] ?? 0))
  for (let place = 1; place < order.length; place += 1) {
    const [above, below] = [order[place - 1] ?? 0, order[place] ?? 0]
    moved[below] = Math.max(moved[below] ?? 0, (moved[above] ?? 0) + NAME_HEIGHT)
  }
  return moved
}

function coordinates(points: Series['points'], x: (value: number) => number, y: (value: number) => number): string {
  return points.map(([a, b]) => `${round(x(a))},${round(y(b))}`).join(' ')
}

function nameAt(name: string, index: number, height: number): string {
  return `<text class="name s${index}" x="${AREA.right + 10}" y="${round(height)}">${escaped(name)}</text>`
}

function line(x1: number, y1: number, x2: number, y2: number): string {
  return `<line class="grid" x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}"/>`
}

function text(x: number, y: number, content: string, anchor: 'middle' | 'end'): string {
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}">${escaped(content)}</text>`
}

const round = (value: number): number => Number(value.toFixed(1))
const number = (value: number): string => value.toLocaleString('en', { maximumSignificantDigits: 3 })
const escaped = (content: string): string =>
  content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
