import { once } from 'node:events'
import type { DemoArguments } from './arguments.ts'
import type { ProxyExit, ProxyProcess } from './proxy-process.ts'
import type { Screen } from './screen.ts'
import type { Viewer } from './viewer.ts'
import type { World } from './world.ts'

/** The parts of a demo that runs. */
export interface RunningDemo {
  options: DemoArguments
  world: World
  proxy: ProxyProcess
  screen: Screen
  /** Aborts at Ctrl-C. */
  interrupt: AbortSignal
}

/** Prints what the demo does, and where its parts are. */
export function introduce({ world, proxy, screen }: RunningDemo, what: string): void {
  screen.print(what)
  screen.print(`${world.description}; the proxy is process ${proxy.pid} at ${proxy.url}`)
  screen.print(`its status page: ${proxy.url}/\n`)
}

/** Stops the proxy. Resolves when its viewers are gone. With `--keep` it first waits for Ctrl-C. */
export async function stopProxy(demo: RunningDemo, viewers: readonly Viewer[]): Promise<ProxyExit> {
  for (const viewer of viewers) viewer.isOver = true
  await keepOpen(demo)
  const exit = await demo.proxy.stop()
  await Promise.all(viewers.map((viewer) => viewer.gone))
  return exit
}

/** Prints a verdict, and warnings of the proxy if a promise was broken. Returns whether every promise was kept. */
export function printVerdict({ proxy, screen }: RunningDemo, { lines, isKept }: { lines: readonly string[]; isKept: boolean }): boolean {
  if (!isKept) for (const warning of proxy.warnings.slice(0, 20)) screen.print(`proxy: ${warning}`)
  screen.print(`\n${lines.join('\n')}`)
  return isKept
}

/** With `--keep` waits for Ctrl-C, so that people can look at the status page. The viewers stay. */
async function keepOpen({ options, proxy, screen, interrupt }: RunningDemo): Promise<void> {
  if (!options.staysOpen || interrupt.aborted) return
  screen.print(`\nThe status page stays open: ${proxy.url}/ – press Ctrl-C to end the demo`)
  // A signal alone does not keep the process alive. The viewers do, unless they have left.
  const timer = setInterval(() => {}, 60_000)
  await once(interrupt, 'abort').finally(() => clearInterval(timer))
}
