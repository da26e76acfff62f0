import { readFileSync } from 'node:fs'
import type { FakeEngineInit, FakeRequest, Generation } from '../../src/testing/index.ts'

/** One line of a capture: a request, and the response of the real orchestrator. */
export interface Recording {
  name: string
  port?: number
  request: { method: string; path: string; authorization: string | null; contentType: string | null; body: unknown }
  response: { status: number; contentType: string | null; body: unknown; location?: string }
}

const FILES: Readonly<Record<Generation, string>> = {
  '2025-10': 'python-2025-10.jsonl',
  '2026-04': 'python-2026-04.jsonl',
  v1: 'go-v1.jsonl',
}

const loaded = new Map<Generation, readonly Recording[]>()

/** Returns the recordings of a generation, in the order of the file. */
function recordings(generation: Generation): readonly Recording[] {
  let lines = loaded.get(generation)
  if (lines === undefined) {
    const text = readFileSync(new URL(`../captures/${FILES[generation]}`, import.meta.url), 'utf8')
    lines = text
      .trimEnd()
      .split('\n')
      .map((line): Recording => JSON.parse(line))
    loaded.set(generation, lines)
  }
  return lines
}

/** Returns the recordings whose name begins with `prefix`. */
export const section = (generation: Generation, prefix: string): Recording[] =>
  recordings(generation).filter(({ name }) => name.startsWith(prefix))

/** Returns the numbered steps of every scenario of a Python section, in numerical order: 9 comes before 91. */
export function scenarios(generation: Generation, prefix: string): Map<string, Recording[]> {
  const found = new Map<string, Recording[]>()
  for (const step of section(generation, prefix)) {
    const scenario = step.name.split('/').slice(0, 2).join('/')
    const steps = found.get(scenario)
    if (steps === undefined) found.set(scenario, [step])
    else steps.push(step)
  }
  for (const steps of found.values()) steps.sort((a, b) => stepNumber(a) - stepNumber(b))
  return found
}

const stepNumber = ({ name }: Recording): number => Number.parseInt(name.split('/').at(-1) ?? '', 10)

/** Converts a recorded request to a request for the fake. */
export function toRequest({ port, request }: Recording): FakeRequest {
  const { method, path, authorization, body } = request
  const text = body === null ? '' : typeof body === 'string' ? body : JSON.stringify(body)
  return {
    method,
    path,
    authorization,
    contentType: contentTypeOf(port, request.contentType, text),
    body: text,
    surface: port === 8083 ? 'internal' : 'public',
  }
}

/** Returns the content type that was sent. If a Python capture names none for a body, curl sent its default. v1 ignores the type. */
function contentTypeOf(port: number | undefined, contentType: string | null, body: string): string | null {
  return contentType === null && body !== '' && port === undefined ? 'application/x-www-form-urlencoded' : contentType
}

type Json = Record<string, unknown>

/** Returns the engines of a recorded list, as the first engines of a fake. */
export function enginesOf(recording: Recording | undefined): FakeEngineInit[] {
  const engines = (recording?.response.body ?? []) as Json[]
  return engines.map((engine) => ({
    containerId: String(engine['container_id']),
    containerName: String(engine['container_name']),
    host: String(engine['host']),
    port: Number(engine['port']),
    labels: engine['labels'] as Record<string, string>,
    healthStatus: engine['health_status'] as 'healthy' | 'unknown',
  }))
}

interface RecordedStart {
  container_id: string
  engine: { host: string; port: number }
  session: object
}

/** Returns the engines that the starts of a scenario name, as the first engines of a fake. */
export function enginesStartedOn(steps: readonly Recording[]): FakeEngineInit[] {
  const engines = new Map<string, FakeEngineInit>()
  for (const { request, response } of steps) {
    const { container_id: containerId, engine, session } = (request.body ?? {}) as Partial<RecordedStart>
    if (containerId === undefined || engine === undefined || session === undefined) continue
    const answer = response.body as Json
    const containerName = typeof answer['container_name'] === 'string' ? { containerName: answer['container_name'] } : {}
    if (!engines.has(containerId)) engines.set(containerId, { containerId, ...engine, ...containerName })
  }
  return [...engines.values()]
}
