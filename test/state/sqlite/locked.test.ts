import { once } from 'node:events'
import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
import { describe, expect, it } from 'vitest'
import { keepingLogger, newPath, open } from './files.ts'
import { start } from './processes.ts'

/** Opens the file, prints `open` or the reason of the error, and stays alive. */
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

const startHolder = async (path: string) => {
  const child = start(HOLDER, [path])
  const [output] = await once(child.stdout, 'data')
  return { child, result: String(output).trim() }
}

const locked = expect.objectContaining({ code: 'STORE', reason: 'locked', retryable: true })

describe('a state file that a store has open', () => {
  it('is locked for other processes until its process ends, even by SIGKILL', async () => {
    const path = newPath()
    const { child, result } = await startHolder(path)
    expect(result).toBe('open')
    expect(() => new SqliteStore({ path })).toThrow(locked)
    const logger = keepingLogger()
    expect(open(path, { onFailure: 'memory', logger }).isDurable).toBe(false)
    expect(logger.lines).toEqual([`warn | State file ${path} cannot be used: all state is kept in memory, and a crash loses it | locked`])
    child.kill('SIGKILL')
    await once(child, 'close')
    expect(open(path).recover()).toEqual([{ streamId: 'theirs', proxyId: 'them', isOver: false }])
  })

  it('is locked for a second store of the same process, and this attempt does not unlock it for other processes', async () => {
    const path = newPath()
    const store = open(path)
    expect(() => new SqliteStore({ path })).toThrow(locked)
    expect((await startHolder(path)).result).toBe('locked')
    store.append({ streamId: 'ours', proxyId: 'us', isOver: false })
    expect(store.isDurable).toBe(true)
    store.close()
    expect(open(path).recover()).toHaveLength(1)
  })
})
