import { copyFileSync, existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Logger } from 'acestream-orchestrator-client'
import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
import { onTestFinished } from 'vitest'

/** A directory that is gone when the test is over. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'sqlite-store-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** A file that is not there yet. */
export const newPath = (): string => join(temporaryDirectory(), 'state.db')

/** What a process that is killed now would leave behind, as a file of its own. Every write has returned, so nothing is half done. */
export function copyAsIs(path: string): string {
  const copy = newPath()
  const location = existsSync(path) ? realpathSync(path) : path
  for (const suffix of ['', '-wal', '-journal']) if (existsSync(location + suffix)) copyFileSync(location + suffix, copy + suffix)
  return copy
}

/** Opens a store that is closed when the test is over. */
export function open(path: string, options: Partial<ConstructorParameters<typeof SqliteStore>[0]> = {}): SqliteStore {
  const store = new SqliteStore({ path, ...options })
  onTestFinished(() => store.close())
  return store
}

/** A logger that keeps what was written: level and message, with the reason where there is one. */
export function keepingLogger(): Logger & { lines: string[] } {
  const lines: string[] = []
  const keep = (level: string) => (message: string, fields?: object) =>
    void lines.push([level, message, ...(fields !== undefined && 'reason' in fields ? [fields.reason] : [])].join(' | '))
  return { lines, debug: keep('debug'), info: keep('info'), warn: keep('warn'), error: keep('error') }
}
