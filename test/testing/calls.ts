import { FakeOrchestrator, type FakeOrchestratorOptions, type Generation, ManualClock } from '../../src/testing/index.ts'

type Json = Record<string, unknown>

/** A response, with its JSON parsed. */
export interface Answer {
  status: number
  body: unknown
  text: string
}

/** A fake orchestrator on a manual clock, and functions that send requests in the format of its generation. */
export class Calls {
  readonly clock: ManualClock
  readonly fake: FakeOrchestrator
  readonly generation: Generation

  constructor(generation: Generation, options: Omit<FakeOrchestratorOptions, 'generation' | 'clock'> = {}) {
    this.generation = generation
    this.clock = new ManualClock()
    this.fake = new FakeOrchestrator({ ...options, generation, clock: this.clock })
  }

  /** Container id of the engine at this index. */
  engine(index: number): string {
    const engine = this.fake.engines[index]
    if (engine === undefined) throw new Error(`No engine ${index}`)
    return engine.containerId
  }

  async send(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown, signal?: AbortSignal): Promise<Answer> {
    const url = new URL(`http://orchestrator.test${this.generation === 'v1' ? '/api/v1' : ''}${path}`)
    const response = await this.fake.request({
      method,
      url,
      headers: { authorization: 'Bearer testkey', 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      timeoutMs: 1_000,
      ...(signal !== undefined && { signal }),
    })
    const isJson = response.headers.get('content-type') === 'application/json'
    return { status: response.status, body: isJson ? JSON.parse(response.body) : response.body, text: response.body }
  }

  /** Announces a start as the client does: with the stream id in the fields of all generations, and the listed address of the engine. */
  start(id: string, containerId: string, over: { key?: string; host?: string; port?: number } = {}): Promise<Answer> {
    const engine = this.fake.engines.find((candidate) => candidate.containerId === containerId)
    const { key = `key-of-${id}`, host = engine?.host ?? 'nowhere', port = engine?.port ?? 1 } = over
    return this.send('POST', '/events/stream_started', {
      content_id: id,
      engine_id: containerId,
      container_id: containerId,
      engine: { host, port },
      stream: { key_type: 'infohash', key },
      session: { playback_session_id: `ps-${id}`, stat_url: 'http://e/stat', command_url: 'http://e/cmd', is_live: 1 },
      labels: { stream_id: id },
    })
  }

  /** Ends a stream with a fence: a container id that matches no engine (H1). */
  end(id: string): Promise<Answer> {
    return this.endRaw({ content_id: id, stream_id: id, container_id: `stream:${id}` })
  }

  endRaw(body: Json): Promise<Answer> {
    return this.send('POST', '/events/stream_ended', body)
  }

  provision(body: Json = {}): Promise<Answer> {
    return this.send('POST', '/provision/acestream', body)
  }

  async engines(): Promise<Json[]> {
    return (await this.send('GET', '/engines')).body as Json[]
  }

  async streams(query = ''): Promise<Json[]> {
    return (await this.send('GET', `/streams${query}`)).body as Json[]
  }

  async status(): Promise<Record<'capacity' | 'provisioning' | 'streams', Json>> {
    return (await this.send('GET', '/orchestrator/status')).body as Record<'capacity' | 'provisioning' | 'streams', Json>
  }

  /** Ids that the orchestrator lists as live. */
  async liveIds(): Promise<string[]> {
    const live = (await this.streams()).filter(({ status }) => status !== 'ended')
    return live.map(({ id }) => String(id)).sort()
  }
}
