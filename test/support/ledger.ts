import type { Logger } from 'acestream-orchestrator-client'

/** A logger, and the lines that it wrote: level, message, fields. */
export function ledger(): { logger: Logger; lines: string[] } {
  const lines: string[] = []
  const write = (level: string) => (message: string, fields?: object) =>
    void lines.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`)
  return { lines, logger: { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') } }
}
