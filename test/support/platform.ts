/**
 * Whether this is Windows. It has no signals that a process can handle, no `:` and `?` in file names, and symbolic links only for some users.
 * Test files that need any of it in nearly each test are listed in `vitest.config.ts` instead.
 */
export const isWindows: boolean = process.platform === 'win32'

/** Whether this is Node 22. It does not know `await using`, so it cannot run the demos as they are. */
export const isNode22: boolean = process.versions.node.startsWith('22.')
