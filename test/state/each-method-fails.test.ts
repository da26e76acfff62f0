import { MemoryStore, OrchestratorError, type StateStore } from 'acestream-orchestrator-client'
import { describe, expect, it, onTestFinished } from 'vitest'
import { during, playback, setup } from '../support/setup.ts'

const RECORDS = ['append', 'settle', 'recover', 'renew', 'claimEnd', 'unclaimEnd', 'endedAmong', 'forgetEnded'] as const
const SLOTS = ['expire', 'releaseLease', 'releaseStream', 'usage'] as const
const HOWS = ['throws', 'rejects'] as const

/** A store of which one method throws or rejects. */
function failing(method: string, how: (typeof HOWS)[number]): StateStore {
  const inner = new MemoryStore()
  const own: Partial<StateStore> = { renewIntervalMs: 1_000, renew: () => {}, onSlotFreed: () => () => {} }
  return new Proxy(inner, {
    get(_, name) {
      if (name === method) {
        return () => {
          if (how === 'throws') throw new Error('boom')
          return Promise.reject(new Error('boom'))
        }
      }
      const value: unknown = Reflect.get(own, name) ?? Reflect.get(inner, name)
      return typeof value === 'function' ? value.bind(inner) : value
    },
  })
}

describe('a client with a store of which one method fails', () => {
  it.each([['onSlotFreed', 'throws'] as const, ...[...RECORDS, ...SLOTS].flatMap((method) => HOWS.map((how) => [method, how] as const))])(
    '[I8] leaves no rejection unhandled and loses no end: %s %s',
    async (method, how) => {
      const unhandled: unknown[] = []
      const note = (reason: unknown): void => void unhandled.push(reason)
      process.on('unhandledRejection', note)
      onTestFinished(() => void process.off('unhandledRejection', note))
      const { client, fake, clock } = setup({ engines: 1 }, { store: failing(method, how) })
      const ignoreExpected = (error: unknown): void => {
        if (!(error instanceof OrchestratorError) && (error as Error).message !== 'boom') throw error
      }
      for (let round = 0; round < 2; round += 1) {
        const lease = await during(clock, client.acquireEngine({ provision: false })).catch(ignoreExpected)
        const waiting = client.acquireEngine({ waitMs: 1_000, provision: false }).then((extra) => extra.release(), ignoreExpected)
        const stream = await during(clock, lease?.startStream(playback(undefined, `${round}`)) ?? Promise.resolve(undefined)).catch(
          ignoreExpected,
        )
        await during(clock, waiting).catch(ignoreExpected)
        client.sweep()
        await during(clock, client.reconcile()).catch(ignoreExpected)
        await clock.advance(100_000)
        // If only the journal or the ended ids fail, the viewer's stream must go on.
        if (RECORDS.some((record) => record === method)) expect(stream?.state).toBe('live')
        if (stream !== undefined) expect((await during(clock, stream.end())).outcome).toBe('delivered')
      }
      await during(clock, client.close())
      await new Promise(setImmediate)
      expect([fake.liveStreamIds(), unhandled, clock.pendingCount]).toEqual([[], [], 0])
    },
  )
})
