import type { FakeOrchestrator, FakeResponse, Generation } from '../../src/testing/index.ts'
import { type Recording, toRequest } from './recordings.ts'
import { UNMODELLED, type Unmodelled } from './unmodelled.ts'

const TIME = /^2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)$/

/** Entries of {@link UNMODELLED} that excused a difference or skipped a step. */
export const used = new Set<Unmodelled>()

/** Number of replayed requests by generation. */
export const replayed: Record<Generation, number> = { '2025-10': 0, '2026-04': 0, v1: 0 }

/** Sends recorded requests in order. Returns the differences between the responses and the recorded ones. */
export async function replay(fake: FakeOrchestrator, generation: Generation, steps: readonly Recording[]): Promise<string[]> {
  const differences: string[] = []
  for (const step of steps) differences.push(...(await replayStep(fake, generation, step)))
  return differences
}

/**
 * Replaces recorded container ids in a step by those of the fake, for engines that the fake started itself, after a restart or on request.
 * Engines are matched by name and port, which are the same.
 */
export function withIdsOf(fake: FakeOrchestrator, recorded: readonly Recording[], step: Recording): Recording {
  let text = JSON.stringify(step)
  for (const { response } of recorded) {
    if (!Array.isArray(response.body)) continue
    for (const { container_id: id, container_name: name, port } of response.body) {
      const engine = fake.engines.find((candidate) => candidate.containerName === name && candidate.port === port)
      if (engine !== undefined && typeof id === 'string') text = text.replaceAll(id, engine.containerId)
    }
  }
  return JSON.parse(text)
}

/** Sends one recorded request. Returns the differences between the response and the recorded one. */
export async function replayStep(fake: FakeOrchestrator, generation: Generation, step: Recording): Promise<string[]> {
  const skipped = UNMODELLED.find((entry) => entry.field === undefined && applies(entry, generation, step))
  if (skipped !== undefined) {
    used.add(skipped)
    return []
  }
  replayed[generation]++
  const answer = await fake.handle(toRequest(step))
  return [...compare(generation, step, answer)].map((difference) => `${step.name}: ${difference}`)
}

const applies = ({ generations, name }: Unmodelled, generation: Generation, step: Recording): boolean =>
  generations.includes(generation) && name.test(step.name)

function* compare(generation: Generation, step: Recording, answer: FakeResponse): Generator<string> {
  const { response } = step
  if (answer.status !== response.status) yield `status ${answer.status}, recorded ${response.status}`
  const contentType = answer.headers['content-type'] ?? null
  if (contentType !== response.contentType) yield `content type ${contentType}, recorded ${response.contentType}`
  if (answer.headers['location'] !== response.location) yield `location ${answer.headers['location']}, recorded ${response.location}`
  const body: unknown = contentType === 'application/json' ? JSON.parse(answer.body) : answer.body
  const fields = UNMODELLED.filter((entry) => entry.field !== undefined && applies(entry, generation, step))
  yield* differ(normalise(body), normalise(response.body), 'body', fields)
}

/** Compares two JSON values as bodies are compared. Returns the differences. */
export function compareJson(generation: Generation, step: Recording, actual: unknown, recorded: unknown): string[] {
  replayed[generation]++
  const fields = UNMODELLED.filter((entry) => entry.field !== undefined && applies(entry, generation, step))
  return [...differ(normalise(actual), normalise(recorded), 'data', fields)]
}

/** Replaces times by a placeholder, so that only their presence counts, and sorts lists of engines and streams. */
function normalise(value: unknown): unknown {
  if (typeof value === 'string') return TIME.test(value) ? '<time>' : value
  if (Array.isArray(value)) return value.map(normalise).sort((a, b) => compareText(keyOf(a), keyOf(b)))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, normalise(field)]))
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Returns the id of an engine or a stream. Other values have none, so their lists keep their order: sorting is stable. */
function keyOf(value: unknown): string {
  const { id, container_id: containerId } = (value ?? {}) as Record<string, unknown>
  return String(id ?? containerId ?? '')
}

function* differ(actual: unknown, recorded: unknown, path: string, ignored: readonly Unmodelled[]): Generator<string> {
  const entry = ignored.find(({ field }) => field?.test(path))
  if (Object.is(actual, recorded)) return
  if (entry !== undefined) {
    used.add(entry)
    return
  }
  if (typeof actual !== 'object' || typeof recorded !== 'object' || actual === null || recorded === null) {
    yield `${path} is ${JSON.stringify(actual)}, recorded ${JSON.stringify(recorded)}`
    return
  }
  for (const name of new Set([...Object.keys(actual), ...Object.keys(recorded)])) {
    yield* differ((actual as Record<string, unknown>)[name], (recorded as Record<string, unknown>)[name], `${path}.${name}`, ignored)
  }
}
