/** Every call of the client that may wait, in an order in which each does. The module prints a line when that call has settled. */
export const PENDING_CALLS = [
  'listEngines',
  'listEngines again',
  'listStreams',
  'checkHealth',
  'acquireEngine',
  'lease.startStream',
  'reconcile',
  'streamStarted',
  'acquireEngine while all engines are full',
  'provisionEngine',
  'lease.release',
  'lease.fail',
  'handle[Symbol.asyncDispose]',
  'handle.end',
  'streamEnded',
  'flush',
  'close',
  'client[Symbol.asyncDispose]',
  'listEngines without an orchestrator',
  'finally',
]

const STEPS = `
  const print = (line) => console.log(line)
  const fake = new FakeOrchestrator({ generation: '2025-10', engines: 3, latencyMs: 15 })
  const options = { baseUrl: 'http://orchestrator.test', apiKey: fake.apiKey, retry: { baseDelayMs: 30 } }
  // A slow store. Neither its timers nor those of the fake orchestrator keep the process alive.
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
    print('listEngines')
    await client.listEngines({ fresh: true })
    print('listEngines again')
    await client.listStreams()
    print('listStreams')
    await client.checkHealth()
    print('checkHealth')
    const other = new OrchestratorClient({ ...options, transport: fake })
    const first = await other.acquireEngine()
    print('acquireEngine')
    await first.release()
    const lease = await client.acquireEngine()
    const stream = await lease.startStream(start('a'))
    print('lease.startStream')
    await client.reconcile()
    print('reconcile')
    const [engine] = fake.engines.filter(({ containerId }) => containerId !== lease.engine.containerId)
    const { host, port, containerId } = engine
    const second = await client.streamStarted({ ...start('b'), engine: { host, port, containerId } })
    print('streamStarted')
    const third = await client.acquireEngine()
    await client.acquireEngine({ waitMs: 40, provision: false }).catch(() => {})
    print('acquireEngine while all engines are full')
    await client.provisionEngine()
    print('provisionEngine')
    await third.release()
    print('lease.release')
    const fourth = await client.acquireEngine()
    await fourth.fail()
    print('lease.fail')
    await stream[Symbol.asyncDispose]()
    print('handle[Symbol.asyncDispose]')
    await second.end()
    print('handle.end')
    await client.streamEnded('of-a-predecessor')
    print('streamEnded')
    const leaving = new AbortController()
    const aborted = (await client.acquireEngine()).startStream(start('e'), { signal: leaving.signal })
    leaving.abort()
    await aborted.catch(() => {})
    await client.flush()
    print('flush')
    const last = await (await client.acquireEngine()).startStream(start('c'))
    void last
    await client.close()
    print('close')
    await (await other.acquireEngine()).startStream(start('d'))
    await other[Symbol.asyncDispose]()
    print('client[Symbol.asyncDispose]')
    await new OrchestratorClient({ ...options, baseUrl: 'http://127.0.0.1:1' }).listEngines()
  } catch (error) {
    if (error?.code === 'CONNECTION') print('listEngines without an orchestrator')
    else print(error)
  } finally {
    print('finally')
  }
`

/** The code of a module that makes all {@link PENDING_CALLS}. Nothing else keeps its process alive. */
export function pendingCallsModule(form: 'top-level await' | 'async main()', core: string, testing: string): string {
  const imports = `
    import { MemoryStore, OrchestratorClient } from ${JSON.stringify(core)}
    import { FakeOrchestrator } from ${JSON.stringify(testing)}
  `
  return form === 'top-level await' ? `${imports}\n${STEPS}` : `${imports}\nasync function main() {\n${STEPS}\n}\nmain()`
}
