/** Every call of the host that may have to wait, in an order in which each of them does; the names of the lines that are printed. */
export const PENDING_CALLS = [
  'listEngines',
  'listEngines again',
  'listStreams',
  'checkHealth',
  'acquireEngine',
  'lease.startStream',
  'reconcile',
  'streamStarted',
  'acquireEngine in a full house',
  'provisionEngine',
  'lease.release',
  'lease.fail',
  'handle[Symbol.asyncDispose]',
  'handle.end',
  'streamEnded',
  'flush',
  'close',
  'client[Symbol.asyncDispose]',
  'listEngines without anybody there',
  'finally',
]

const STEPS = `
  const say = (line) => console.log(line)
  const fake = new FakeOrchestrator({ generation: '2025-10', engines: 3, latencyMs: 15 })
  const options = { baseUrl: 'http://orchestrator.test', apiKey: fake.apiKey, retry: { baseDelayMs: 30 } }
  // A store that takes a while, and keeps nothing alive meanwhile; neither do the timers of the orchestrator in memory.
  const later = (ms) => new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    timer.unref()
  })
  const memory = new MemoryStore()
  const store = new Proxy(memory, {
    get(_, name) {
      const value = memory[name]
      if (typeof value !== 'function') return value
      return name === 'releaseLease' ? async (id) => (await later(15), memory.releaseLease(id)) : value.bind(memory)
    },
  })
  const client = new OrchestratorClient({ ...options, transport: fake, store })
  const session = { playbackSessionId: 's', statUrl: 'http://engine/stat', commandUrl: 'http://engine/cmd' }
  const start = (key) => ({ keyType: 'infohash', key: key.repeat(40), session })
  try {
    await client.listEngines()
    say('listEngines')
    await client.listEngines({ fresh: true })
    say('listEngines again')
    await client.listStreams()
    say('listStreams')
    await client.checkHealth()
    say('checkHealth')
    const other = new OrchestratorClient({ ...options, transport: fake })
    const first = await other.acquireEngine()
    say('acquireEngine')
    await first.release()
    const lease = await client.acquireEngine()
    const stream = await lease.startStream(start('a'))
    say('lease.startStream')
    await client.reconcile()
    say('reconcile')
    const [engine] = fake.engines.filter(({ containerId }) => containerId !== lease.engine.containerId)
    const { host, port, containerId } = engine
    const second = await client.streamStarted({ ...start('b'), engine: { host, port, containerId } })
    say('streamStarted')
    const third = await client.acquireEngine()
    await client.acquireEngine({ waitMs: 40, provision: false }).catch(() => {})
    say('acquireEngine in a full house')
    await client.provisionEngine()
    say('provisionEngine')
    await third.release()
    say('lease.release')
    const fourth = await client.acquireEngine()
    await fourth.fail()
    say('lease.fail')
    await stream[Symbol.asyncDispose]()
    say('handle[Symbol.asyncDispose]')
    await second.end()
    say('handle.end')
    await client.streamEnded('of-a-predecessor')
    say('streamEnded')
    const leaving = new AbortController()
    const aborted = (await client.acquireEngine()).startStream(start('e'), { signal: leaving.signal })
    leaving.abort()
    await aborted.catch(() => {})
    await client.flush()
    say('flush')
    const last = await (await client.acquireEngine()).startStream(start('c'))
    void last
    await client.close()
    say('close')
    await (await other.acquireEngine()).startStream(start('d'))
    await other[Symbol.asyncDispose]()
    say('client[Symbol.asyncDispose]')
    await new OrchestratorClient({ ...options, baseUrl: 'http://127.0.0.1:1' }).listEngines()
  } catch (error) {
    if (error?.code === 'CONNECTION') say('listEngines without anybody there')
    else say(error)
  } finally {
    say('finally')
  }
`

/** A module that makes every one of {@link PENDING_CALLS}, with nothing else that would keep its process alive. */
export function pendingCallsModule(form: 'top-level await' | 'async main()', core: string, testing: string): string {
  const imports = `
    import { MemoryStore, OrchestratorClient } from ${JSON.stringify(core)}
    import { FakeOrchestrator } from ${JSON.stringify(testing)}
  `
  return form === 'top-level await' ? `${imports}\n${STEPS}` : `${imports}\nasync function main() {\n${STEPS}\n}\nmain()`
}
