import { type JournalEntry, MemoryStore, OrchestratorClient, type Retention, StoreError } from 'acestream-orchestrator-client'
import { FakeOrchestrator, ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'

const session = { playbackSessionId: 'session', statUrl: 'http://engine/stat', commandUrl: 'http://engine/cmd' }
const start = { keyType: 'infohash', key: 'key', session, streamId: 'stream' } as const

/** A store that records what happens to its journal. */
class JournalStore extends MemoryStore {
  readonly calls: string[] = []

  override append(entry?: JournalEntry): void {
    this.calls.push(`append ${entry?.isOver === true ? `end (${entry.reason})` : 'start'}`)
  }

  override settle(): void {
    this.calls.push('settle')
  }
}

/** A store that claims an end and writes its entry in one call. */
class OneCallStore extends JournalStore {
  failure: Error | undefined

  claimEndWith({ streamId, reason, isOver }: JournalEntry, retention: Retention, life: string): boolean {
    if (this.failure !== undefined) throw this.failure
    const isFirst = this.claimEnd(streamId, retention, life)
    this.calls.push(`claim ${isFirst ? 'with' : 'without'} ${isOver ? 'end' : 'start'} (${reason})`)
    return isFirst
  }
}

function connect(store: JournalStore) {
  const clock = new ManualClock()
  const fake = new FakeOrchestrator({ engines: 1, clock })
  const quiet = { healthIntervalMs: 0, sweepIntervalMs: 0, reconcileIntervalMs: 0, watch: false }
  const client = new OrchestratorClient({
    baseUrl: 'http://orchestrator.test',
    apiKey: fake.apiKey,
    transport: fake,
    clock,
    store,
    ...quiet,
  })
  return { client, fake, clock }
}

describe('a store that claims an end and writes its journal entry in one call', () => {
  it('gets one call for both', async () => {
    const store = new OneCallStore()
    const { client } = connect(store)
    const stream = await (await client.acquireEngine()).startStream(start)
    expect(await stream.end('left')).toMatchObject({ outcome: 'delivered' })
    expect(store.calls).toEqual(['append start', 'claim with end (left)', 'settle'])
  })

  it('gets the entry in a call of its own if the claim failed, and the end is sent', async () => {
    const store = new OneCallStore()
    store.failure = new StoreError('away', { reason: 'unavailable' })
    const { client, fake } = connect(store)
    const stream = await (await client.acquireEngine()).startStream(start)
    expect(await stream.end('left')).toMatchObject({ outcome: 'delivered' })
    expect(store.calls).toEqual(['append start', 'append end (left)', 'settle'])
    expect(fake.counters.requests.total).toBeGreaterThan(0)
  })

  it('writes no entry if another process has claimed the end', async () => {
    const store = new OneCallStore()
    const { client, clock } = connect(store)
    const stream = await (await client.acquireEngine()).startStream(start)
    store.claimEnd('stream', { now: clock.now(), retentionMs: 3_600_000, max: 10 })
    expect(await stream.end('left')).toMatchObject({ outcome: 'duplicate' })
    expect(store.calls).toEqual(['append start', 'claim without end (left)'])
  })

  it('is optional: another store gets the entry after the claim', async () => {
    const store = new JournalStore()
    const { client } = connect(store)
    const stream = await (await client.acquireEngine()).startStream(start)
    await stream.end('left')
    expect(store.calls).toEqual(['append start', 'append end (left)', 'settle'])
  })
})

describe('a start on a lease', () => {
  it('is recorded in the journal while its slot is moved, so that the viewer waits for one answer', async () => {
    const promoted = Promise.withResolvers<boolean>()
    class SlowStore extends JournalStore {
      override promote(leaseId: string, streamId: string): boolean {
        super.promote(leaseId, streamId)
        return promoted.promise as unknown as boolean
      }
    }
    const store = new SlowStore()
    const { client, fake } = connect(store)
    const lease = await client.acquireEngine()
    const requests = fake.counters.requests.total
    const starting = lease.startStream(start)
    expect(store.calls).toEqual(['append start'])
    expect(fake.counters.requests.total).toBe(requests)
    promoted.resolve(true)
    await starting
    expect(store.calls).toEqual(['append start'])
  })

  it('leaves no journal entry if its slot is lost', async () => {
    class LosingStore extends JournalStore {
      override promote(): boolean {
        return false
      }
    }
    const store = new LosingStore()
    const { client } = connect(store)
    await expect((await client.acquireEngine()).startStream(start)).rejects.toMatchObject({ reason: 'lease_expired' })
    expect(store.calls).toEqual(['append start', 'settle'])
  })
})
