import type { Logger } from 'acestream-orchestrator-client'

/** A logger that records its lines. */
export class RecordingLogger implements Logger {
  readonly all: { level: 'debug' | 'info' | 'warn' | 'error'; message: string; fields: object }[] = []

  debug(message: string, fields: object = {}): void {
    this.all.push({ level: 'debug', message, fields })
  }

  info(message: string, fields: object = {}): void {
    this.all.push({ level: 'info', message, fields })
  }

  warn(message: string, fields: object = {}): void {
    this.all.push({ level: 'warn', message, fields })
  }

  error(message: string, fields: object = {}): void {
    this.all.push({ level: 'error', message, fields })
  }

  /** All lines except debug lines, each like `warn | message`. */
  get logged(): string[] {
    return this.all.filter(({ level }) => level !== 'debug').map(({ level, message }) => `${level} | ${message}`)
  }
}
