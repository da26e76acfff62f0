/*
 * Each entry point imports this module before all others. On a runtime that is too old the import then fails with one sentence, instead of
 * a call that fails later. A runtime is judged by what it has, not by its version: a host may have added what is missing.
 */

if (typeof Promise.withResolvers !== 'function') throw unsupported('', 'Promise.withResolvers')
if (typeof URL.parse !== 'function') throw unsupported('', 'URL.parse')

/**
 * Makes the error of an import that this runtime cannot carry out. It says what runs, what is missing there, and what to do.
 *
 * @param entry the end of the entry point's name, for example `/sqlite`; empty for the main entry
 * @param missing what the runtime does not have
 */
export function unsupported(entry: string, missing: string): Error {
  return new Error(
    `acestream-orchestrator-client${entry} cannot run on ${runtimeName()}, which has no ${missing}: ` +
      'install Node 22.13 or newer, or a current Bun or Deno, and start this program with it',
  )
}

/** Bun and Deno also have a version of Node, to which they are compatible. */
function runtimeName(): string {
  const { process } = globalThis as { process?: { versions?: Readonly<Record<string, string | undefined>> } }
  const { bun, deno, node } = process?.versions ?? {}
  if (bun !== undefined) return `Bun ${bun}`
  if (deno !== undefined) return `Deno ${deno}`
  return node === undefined ? 'this runtime' : `Node ${node}`
}
