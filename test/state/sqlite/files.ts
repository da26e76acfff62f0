import { copyFileSync, existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Logger } from 'acestream-orchestrator-client'
import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
import { onTestFinished } from 'vitest'

/** Creates a directory that is removed after the test. On Windows that can fail until a process that had a file open has ended. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'sqlite-store-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true, maxRetries: 10 }))
  return directory
}

/** A path in a new directory. No file exists there yet. */
export const newPath = (): string => join(temporaryDirectory(), 'state.db')

/** Copies the file and its log as a process that is killed now would leave them. Every write has returned, so none is half done. */
export function copyAsIs(path: string): string {
  const copy = newPath()
  const location = existsSync(path) ? realpathSync(path) : path
  for (const suffix of ['', '-wal', '-journal']) if (existsSync(location + suffix)) copyFileSync(location + suffix, copy + suffix)
  return copy
}

/** Opens a store that is closed after the test. */
export function open(path: string, options: Partial<ConstructorParameters<typeof SqliteStore>[0]> = {}): SqliteStore {
  const store = new SqliteStore({ path, ...options })
  onTestFinished(() => store.close())
  return store
}

/** A logger that keeps its lines: level and message, and the `reason` field if there is one. */
export function keepingLogger(): Logger & { lines: string[] } {
  const lines: string[] = []
  const keep = (level: string) => (message: string, fields?: object) =>
    void lines.push([level, message, ...(fields !== undefined && 'reason' in fields ? [fields.reason] : [])].join(' | '))
  return { lines, debug: keep('debug'), info: keep('info'), warn: keep('warn'), error: keep('error') }
}
