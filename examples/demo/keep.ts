import { once } from 'node:events'
import type { DemoArguments } from './arguments.ts'
import type { ProxyProcess } from './proxy-process.ts'
import type { Screen } from './screen.ts'

/** With `--keep` waits for Ctrl-C, so that people can look at the status page. The viewers stay. */
export async function keepOpen({ staysOpen }: DemoArguments, proxy: ProxyProcess, screen: Screen, interrupt: AbortSignal): Promise<void> {
  if (!staysOpen || interrupt.aborted) return
  screen.print(`\nThe status page stays open: ${proxy.url}/ – press Ctrl-C to end the demo`)
  // A signal alone does not keep the process alive. The viewers do, unless they have left.
  const timer = setInterval(() => {}, 60_000)
  await once(interrupt, 'abort').finally(() => clearInterval(timer))
}
