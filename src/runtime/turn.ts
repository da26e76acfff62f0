/**
 * The platform's own timers, taken when this module loads: a test runner that fakes the global ones later does not fake these.
 * `setImmediate` is in Node, Bun and Deno; a zero time-out stands in elsewhere.
 */
const schedule: (callback: () => void) => void =
  typeof globalThis.setImmediate === 'function'
    ? globalThis.setImmediate.bind(globalThis)
    : (callback) => void globalThis.setTimeout(callback, 0)

/** One turn of the event loop: every promise chain that can go on without time passing has gone on when it resolves. */
export function turn(): Promise<void> {
  return new Promise((resolve) => schedule(resolve))
}
