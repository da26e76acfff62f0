import { createInterface } from 'node:readline'
import { FakeOrchestrator } from 'acestream-orchestrator-client/testing'
import { Redis } from 'ioredis'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startProcess } from '../../examples/processes.ts'
import { untilSlotsAreGranted } from '../../support/first-redis-slot.ts'
import { isRedisMissing, RedisServer } from '../../support/redis-server.ts'

const PROCESSES = 3
const ROUNDS = 20
const ENGINES = 20
const LIMIT = 2
const FLEET = 'crowd'

interface Answer {
  taken: readonly string[]
  refusals: readonly string[]
}

/** Starts a process that answers each line with one line. */
async function startCrowd(args: readonly string[]) {
  const { child } = startProcess(new URL('crowd.ts', import.meta.url), args)
  const lines = createInterface(child.stdout as NodeJS.ReadableStream)[Symbol.asyncIterator]()
  const next = async (): Promise<unknown> => JSON.parse((await lines.next()).value ?? '"it has ended"')
  expect(await next()).toBe('ready')
  return {
    async send(command: 'acquire' | 'release'): Promise<unknown> {
      child.stdin?.write(`${command}\n`)
      return next()
    },
  }
}

/** Lets all processes request 200 engines each at the same time, `count` times. Returns for each round how many leases each engine had. */
async function rounds(redisUrl: string, count: number): Promise<{ counts: number[][]; refusals: Set<string> }> {
  const fake = new FakeOrchestrator({ engines: ENGINES })
  await using server = await fake.listen()
  const crowds = await Promise.all(Array.from({ length: PROCESSES }, () => startCrowd([server.url, fake.apiKey, redisUrl, FLEET])))
  const counts: number[][] = []
  const refusals = new Set<string>()
  for (let round = 0; round < count; round += 1) {
    const answers = (await Promise.all(crowds.map(({ send }) => send('acquire')))) as Answer[]
    const byEngine = new Map<string, number>()
    for (const id of answers.flatMap(({ taken }) => taken)) byEngine.set(id, (byEngine.get(id) ?? 0) + 1)
    counts.push([...byEngine.values()])
    for (const { refusals: reasons } of answers) for (const reason of reasons) refusals.add(reason)
    await Promise.all(crowds.map(({ send }) => send('release')))
  }
  return { counts, refusals }
}

/** Opens the fleet first. Otherwise the proxies would wait for their time to live, ten minutes here, before the first slot. */
async function open(redisUrl: string): Promise<void> {
  const client = new Redis(redisUrl)
  await untilSlotsAreGranted(client, FLEET)
  client.disconnect()
}

const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0)

describe.skipIf(isRedisMissing)(
  `${PROCESSES} processes that request 200 engines each at once, with room for ${ENGINES * LIMIT} streams`,
  () => {
    it(`[I1] get exactly ${ENGINES * LIMIT} leases in each of ${ROUNDS} rounds through one Redis`, async () => {
      const redis = await RedisServer.start()
      onTestFinished(() => redis.stop())
      await open(redis.url)
      const { counts, refusals } = await rounds(redis.url, ROUNDS)
      expect(counts.map((taken) => [sum(taken), Math.max(...taken)])).toEqual(Array(ROUNDS).fill([ENGINES * LIMIT, LIMIT]))
      expect([...refusals]).toEqual(['full'])
    })

    it(`get ${PROCESSES * ENGINES * LIMIT} leases without a shared store, so every engine is over its limit`, async () => {
      const { counts } = await rounds('', 1)
      expect(counts.map((taken) => [sum(taken), Math.max(...taken)])).toEqual([[PROCESSES * ENGINES * LIMIT, PROCESSES * LIMIT]])
    })
  },
)
