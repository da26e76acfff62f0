import type { Transport, TransportRequest } from 'acestream-orchestrator-client'
import type { FakeOrchestrator } from 'acestream-orchestrator-client/testing'

type Entry = Record<string, unknown>

/** A transport to a fake orchestrator that changes the entries of the lists that the fake answers. */
export class ChangedLists implements Transport {
  readonly #fake: FakeOrchestrator
  onEngine: (entry: Entry) => unknown = (entry) => entry
  onStream: (entry: Entry) => unknown = (entry) => entry

  constructor(fake: FakeOrchestrator) {
    this.#fake = fake
  }

  async request(request: TransportRequest) {
    const answer = await this.#fake.request(request)
    const change = /\/engines$/.test(request.url.pathname)
      ? this.onEngine
      : /\/streams$/.test(request.url.pathname)
        ? this.onStream
        : undefined
    if (change === undefined || answer.status !== 200) return answer
    const list: unknown = JSON.parse(answer.body)
    return Array.isArray(list) ? { ...answer, body: JSON.stringify(list.map((entry) => change(entry))) } : answer
  }
}
