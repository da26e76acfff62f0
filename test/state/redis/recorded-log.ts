import type { Logger } from 'acestream-orchestrator-client'

/** A logger that keeps its lines, except at level `debug`: each with its level and its fields. */
export function recordedLog(): { logger: Logger; lines: string[] } {
  const lines: string[] = []
  const shown = (_: string, value: unknown): unknown => (value instanceof Error ? `${value.name} ${value.message}` : value)
  const write = (level: string) => (message: string, fields?: object) => {
    if (level !== 'debug') lines.push(`${level} ${message} ${JSON.stringify(fields ?? {}, shown)}`)
  }
  return { lines, logger: { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') } }
}
