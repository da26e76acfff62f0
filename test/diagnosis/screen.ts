import { run } from '../../src/cli/run.ts'
import type { Clock } from '../../src/runtime/clock.ts'
import { SystemClock } from '../../src/runtime/clock.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { VERSION } from '../../src/version.ts'
import { KEY, type World, type WrongThing } from './wrong-things.ts'

/** What a command wrote, and how it ended. */
export interface Ran {
  readonly out: string
  readonly err: string
  readonly code: number
}

/** Runs the command line in this process. */
export async function runCli(
  args: readonly string[],
  {
    env = {},
    isTerminal = false,
    clock = new SystemClock(),
    signal = new AbortController().signal,
    ...rest
  }: Partial<Omit<Parameters<typeof run>[0], 'args' | 'version' | 'write' | 'writeError'>> & { clock?: Clock } = {},
): Promise<Ran> {
  const ran = { out: '', err: '' }
  const code = await run({
    ...rest,
    args,
    version: VERSION,
    env,
    isTerminal,
    clock,
    signal,
    write: (text) => {
      ran.out += text
    },
    writeError: (text) => {
      ran.err += text
    },
  })
  return { ...ran, code }
}

/** Runs `doctor` in the world of a wrong thing. */
export async function runDoctor({ make }: WrongThing, ...args: string[]): Promise<Ran & { world: World }> {
  const closers: (() => unknown)[] = []
  try {
    const world = await make((close) => closers.push(close))
    const { url, hangs, hangsS = 0, overrides, connect } = world
    const key = 'key' in world ? world.key : KEY
    const clock = hangs === undefined ? new SystemClock() : new ManualClock()
    const running = runCli(['doctor', '--url', url, ...args], {
      env: { ...world.env, ...(key === undefined ? {} : { ACEXY_ORCH_APIKEY: key }) },
      clock,
      ...(overrides && { overrides }),
      ...(connect && { connect }),
    })
    if (clock instanceof ManualClock) {
      await hangs
      for (let second = 0; second < hangsS; second += 1) await clock.advance(1_000)
    }
    return { ...(await running), world }
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

/** The screen as the page shows it: without what differs from run to run. */
export function normalize(out: string, { url, shown = {} }: World): string {
  const { hostname, port } = new URL(url)
  const isLocal = hostname === '127.0.0.1' || hostname === '[::1]'
  let text = isLocal ? out.replaceAll(`:${port}`, ':18000') : out
  for (const [from, to] of Object.entries(shown)) text = text.replaceAll(from, to)
  return text
    .replace(/yes, in \d+ ms/, 'yes, in 12 ms')
    .replace(/another \d+ s/, 'another 300 s')
    .replace(/\b\d+ s ahead/g, '90 s ahead')
    .trimEnd()
}
