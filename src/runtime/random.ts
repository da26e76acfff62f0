/** A number in [0, 1), as `Math.random` gives it. Inject a seeded one to make a run repeatable. */
export type Random = () => number

/** The default source of randomness. */
export const systemRandom: Random = () => Math.random()

/** An id that no other process makes. From the platform's cryptographic source: it only names, it never decides. */
export function randomId(): string {
  return globalThis.crypto.randomUUID()
}
