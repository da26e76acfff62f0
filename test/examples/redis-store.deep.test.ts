import { Redis } from 'ioredis'
import { describe, expect, it, onTestFinished } from 'vitest'
import { jsonLogger } from '../../examples/proxy/log.ts'
import { openStore } from '../../examples/proxy/store.ts'
import { isRedisMissing, RedisServer } from '../support/redis-server.ts'
import { eventually } from './stage.ts'

describe.skipIf(isRedisMissing)('the store of ACEXY_STORE on a real Redis', () => {
  it('writes only keys with the name in the URL, to the database in the URL', async () => {
    const { url } = await start()
    const { store } = await open(`${url}/3?name=my-orchestrator`)
    await store.renew?.()
    await eventually(async () => expect(await keysOf(url, 3)).not.toEqual([]))
    expect((await keysOf(url, 3)).filter((key) => !key.includes('my-orchestrator'))).toEqual([])
    expect(await keysOf(url, 0)).toEqual([])
  })

  it('logs one error that names the variable if Redis does not have the database', async () => {
    const { url, server } = await start()
    const { store, lines } = await open(`${url}/999?name=a`)
    const errors = (): string[] => lines.filter((line) => line.includes('"level":"error"') && line.includes('ACEXY_STORE'))
    await eventually(() => expect(errors()).toHaveLength(1))
    await server.kill()
    await server.start()
    await eventually(async () => {
      await store.renew?.()
      expect(await keysOf(url, 0)).not.toEqual([])
    })
    expect(errors()).toHaveLength(1)
  })
})

async function start(): Promise<{ url: string; server: RedisServer }> {
  const server = await RedisServer.start()
  onTestFinished(() => server.kill())
  return { url: server.url, server }
}

async function open(value: string) {
  const lines: string[] = []
  const opened = await openStore(
    { ACEXY_STORE: value },
    jsonLogger('debug', (line) => void lines.push(line)),
  )
  if (opened === undefined) throw new Error('no store')
  onTestFinished(() => opened.close())
  return { store: opened.store, lines }
}

async function keysOf(url: string, db: number): Promise<string[]> {
  const client = new Redis(url, { db })
  try {
    return await client.keys('*')
  } finally {
    client.disconnect()
  }
}
