import type { Clock, Timer } from './clock.ts'

const HOUR_MS = 3_600_000

/** Keeps the process from ending while somebody waits for `work`, which may have nothing but unref'd timers to wait for. */
export async function keepingAlive<T>(clock: Clock, work: Promise<T>): Promise<T> {
  const arm = (): Timer => clock.setTimeout(() => (timer = arm()), HOUR_MS, { keepsAlive: true })
  let timer = arm()
  try {
    return await work
  } finally {
    timer.cancel()
  }
}
