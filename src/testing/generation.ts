/** A generation of the orchestrator: the two Python ones by their month, and the Go one by its path prefix. */
export type Generation = '2025-10' | '2026-04' | 'v1'

/** All of them, oldest first: for tests that run once per generation. */
export const GENERATIONS: readonly Generation[] = ['2025-10', '2026-04', 'v1']

/** Which port of v1 a request goes to: 8000 is public, 8083 internal. The Python generations have only one. */
export type Surface = 'public' | 'internal'
