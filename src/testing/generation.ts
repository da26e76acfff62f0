/** A generation of the orchestrator: two in Python, named after their month, and one in Go, named after its path prefix. */
export type Generation = '2025-10' | '2026-04' | 'v1'

/** All generations, oldest first, for tests that run once per generation. */
export const GENERATIONS: readonly Generation[] = ['2025-10', '2026-04', 'v1']

/** A port of v1: 8000 is public, 8083 internal. The Python generations have only one port. */
export type Surface = 'public' | 'internal'
