/**
 * Whether this is Windows. It has no signals that a process can handle, no `:` and `?` in file names, and symbolic links only for some users.
 * Test files that need any of it in nearly each test are listed in `vitest.config.ts` instead.
 */
export const isWindows: boolean = process.platform === 'win32'
