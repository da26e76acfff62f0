import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { MemoryStore } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { waitOneTurn } from '../../src/runtime/clock.ts'
import { lifeListed } from '../../src/streams/life.ts'
import { endedLedger } from '../support/ended-ledger.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Bytes in use in this process. Buffers are freed in a later turn of the event loop than the objects that hold them. */
async function usedBytes(): Promise<number> {
  for (let round = 0; round < 3; round += 1) {
    collectGarbage()
    await waitOneTurn()
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

const MAX = 50_000

const lifeOf = (id: string): string =>
  lifeListed({
    id,
    keyType: 'infohash',
    key: id,
    containerId: 'e',
    playbackSessionId: id,
    statUrl: 'http://engine:6878/stat',
    commandUrl: 'http://engine:6878/cmd',
    isLive: true,
    status: 'started',
    startedAtUs: 1_795_471_621_317_932,
  })

describe('the ids of ended streams', () => {
  it('[I7] need at most 160 bytes each, with the text of the id, in the client and its store together', async () => {
    const ledger = endedLedger({ store: new MemoryStore(), max: MAX })
    await ledger.claim('first', lifeOf('first'))
    const before = await usedBytes()
    for (let i = 0; i < MAX * 1.2; i += 1) {
      const id = `s${i}`
      await ledger.claim(id, lifeOf(id))
    }
    expect(((await usedBytes()) - before) / MAX).toBeLessThanOrEqual(160)
    expect(ledger.statusOf(`s${MAX}`)).toBe('ended')
    expect(ledger.statusOf('s1')).toBeUndefined()
  })
})
