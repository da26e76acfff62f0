import { once } from 'node:events'
import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
import { describe, expect, it } from 'vitest'
import { keepingLogger, newPath, open } from './files.ts'
import { start } from './processes.ts'

/** Opens the file, says how that went, and stays. */
const HOLDER = `
  const { SqliteStore } = await import('acestream-orchestrator-client/sqlite')
  try {
    const store = new SqliteStore({ path: process.argv[1] })
    store.append({ streamId: 'theirs', proxyId: 'them', isOver: false })
    console.log('open')
    setInterval(() => store.renew(), 1_000)
  } catch (error) {
    console.log(error.reason)
  }
`

const saidBy = async (path: string) => {
  const child = start(HOLDER, [path])
  const [said] = await once(child.stdout, 'data')
  return { child, said: String(said).trim() }
}

const locked = expect.objectContaining({ code: 'STORE', reason: 'locked', retryable: true })

describe('a state file that a store has open', () => {
  it('is locked to other processes until that process dies, of whatever', async () => {
    const path = newPath()
    const { child, said } = await saidBy(path)
    expect(said).toBe('open')
    expect(() => new SqliteStore({ path })).toThrow(locked)
    const logger = keepingLogger()
    expect(open(path, { onFailure: 'memory', logger }).isDurable).toBe(false)
    expect(logger.lines).toEqual(['warn | state file cannot be used: going on in memory | locked'])
    child.kill('SIGKILL')
    await once(child, 'close')
    expect(open(path).recover()).toEqual([{ streamId: 'theirs', proxyId: 'them', isOver: false }])
  })

  it('is locked to this process too, and stays locked to others when that was tried', async () => {
    const path = newPath()
    const store = open(path)
    expect(() => new SqliteStore({ path })).toThrow(locked)
    expect((await saidBy(path)).said).toBe('locked')
    store.append({ streamId: 'ours', proxyId: 'us', isOver: false })
    expect(store.isDurable).toBe(true)
    store.close()
    expect(open(path).recover()).toHaveLength(1)
  })
})
