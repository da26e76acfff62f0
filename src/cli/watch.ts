import type { OrchestratorClient } from '../client.ts'
import { pause } from '../runtime/abort.ts'
import { readCount, type Values, withOptionNames } from './arguments.ts'
import { EXIT, type ExitCode, type Io } from './io.ts'
import { isLive, showEngineList, showStreamList, summaryLine } from './lists.ts'
import { printable, Screen } from './screen.ts'

const DEFAULT_INTERVAL_S = 2
const MS_PER_SECOND = 1_000
/** Moves the cursor to the top, and clears what is below. */
const TO_TOP = '\u001b[H\u001b[J'
const ENTER = '\u001b[?1049h\u001b[?25l'
const LEAVE = '\u001b[?25h\u001b[?1049l'

/**
 * Shows engines and streams until the user interrupts. On a terminal it draws them in place, on another screen than the one before. Without a terminal
 * it writes one line each time.
 */
export async function watch(client: OrchestratorClient, limit: number, io: Io, values: Values): Promise<ExitCode> {
  const intervalMs = readCount('interval', values.interval, DEFAULT_INTERVAL_S) * MS_PER_SECOND
  const count = readCount('count', values.count, Number.POSITIVE_INFINITY)
  const isDrawn = io.isTerminal && !values.json
  let exit: ExitCode = EXIT.good
  if (isDrawn) io.write(ENTER)
  try {
    for (let look = 1; ; look += 1) {
      const { text, isGood } = await lookOnce(client, limit, io, values, isDrawn)
      exit = isGood ? EXIT.good : EXIT.problem
      io.write(isDrawn ? TO_TOP + clipRows(text, io.rows) : text)
      if (look >= count) return exit
      await pause(io.clock, intervalMs, io.signal, { keepsAlive: true })
    }
  } catch (error) {
    if (io.signal.aborted) return exit
    throw error
  } finally {
    if (isDrawn) io.write(LEAVE)
  }
}

/** The lines that fit on the screen: more would scroll it. */
function clipRows(text: string, rows = Number.POSITIVE_INFINITY): string {
  const lines = text.trimEnd().split('\n')
  return lines.length < rows ? text : `${lines.slice(0, Math.max(rows - 2, 1)).join('\n')}\n…\n`
}

async function lookOnce(
  client: OrchestratorClient,
  limit: number,
  io: Io,
  { json }: Values,
  isDrawn: boolean,
): Promise<{ text: string; isGood: boolean }> {
  const { clock, signal } = io
  const time = new Date(clock.now()).toISOString()
  try {
    const [engines, listed] = await Promise.all([client.listEngines({ fresh: true, signal }), client.listStreams({}, { signal })])
    const streams = listed.filter(isLive)
    if (json) return { text: `${JSON.stringify({ time, engines, streams })}\n`, isGood: true }
    const summary = summaryLine(engines, streams, limit)
    if (!isDrawn) return { text: `${time}  ${summary}\n`, isGood: true }
    // The size of the terminal may have changed since the last look.
    const screen = new Screen(io)
    const lines = [
      screen.paint(`${time}  ${summary}`, 'title'),
      '',
      ...showEngineList(engines, limit, screen),
      '',
      ...showStreamList(streams, screen, clock.now()),
      '',
      screen.paint('Ctrl-C ends.', 'dim'),
    ]
    return { text: `${lines.join('\n')}\n`, isGood: true }
  } catch (error) {
    signal.throwIfAborted()
    const message = printable(withOptionNames(error instanceof Error ? error.message : String(error)))
    if (json) return { text: `${JSON.stringify({ time, error: message })}\n`, isGood: false }
    const screen = new Screen(io)
    const lines = isDrawn ? [screen.paint(time, 'title'), '', ...screen.wrap(message, '')] : [`${time}  ${message}`]
    return { text: `${lines.join('\n')}\n`, isGood: false }
  }
}
