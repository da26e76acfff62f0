const NAME = 'acestream-orchestrator-client'

/** How a program loads the package. */
export const FORMS = ['import', 'require'] as const
export type Form = (typeof FORMS)[number]

/** A program that a runtime runs, with the arguments that its `args` names, and what it prints as JSON. */
export interface Program {
  /** Completes the title of its test. */
  readonly title: string
  /** Variable -> the module that it holds. */
  readonly uses: Readonly<Record<string, string>>
  /** Statements of an async function that returns the result. `args` are the arguments of the process. */
  readonly body: string
  readonly result: unknown
}

/** The file name and the code of a program. */
export function fileOf({ uses, body }: Pick<Program, 'uses' | 'body'>, form: Form): { extension: string; code: string } {
  const modules = Object.entries({ process: 'node:process', ...uses })
  const load = modules.map(([name, path]) =>
    form === 'import' ? `import * as ${name} from '${path}'` : `const ${name} = require('${path}')`,
  )
  const run = 'main(process.argv.slice(2)).then((result) => console.log(JSON.stringify(result)))'
  return { extension: form === 'import' ? 'mjs' : 'cjs', code: `${load.join('\n')}\nasync function main(args) {${body}}\n${run}\n` }
}

/** Loads one entry point, and does nothing with it. */
export const loadOnly = (entry: string): Pick<Program, 'uses' | 'body'> => ({ uses: { entry: `${NAME}${entry}` }, body: '' })

/** The end of the name of each entry point. */
export const ENTRIES: readonly string[] = ['', '/redis', '/sqlite', '/testing', '/otel', '/prometheus']

const SESSION = "{ playbackSessionId: 's', statUrl: 'http://engine/stat', commandUrl: 'http://engine/cmd' }"
const FAKE_CLIENT = `
  const fake = new testing.FakeOrchestrator({ engines: 2 })
  const client = new index.OrchestratorClient({ baseUrl: 'http://orchestrator.test', apiKey: fake.apiKey, transport: fake })
`

/** One program for each entry point. The arguments are the URL and the key of an orchestrator with two engines, and the path of a new file. */
export const SMOKE: readonly Program[] = [
  {
    title: 'the main entry lists the engines of an orchestrator over HTTP',
    uses: { index: NAME },
    body: `
      const client = new index.OrchestratorClient({ baseUrl: args[0], apiKey: args[1] })
      const engines = await client.listEngines()
      await client.close()
      const wrong = new index.OrchestratorClient({ baseUrl: args[0], apiKey: 'wrong' })
      const isRejected = await wrong.provisionEngine().catch((error) => error instanceof index.AuthenticationError)
      await wrong.close()
      return { engines: engines.length, isRejected }`,
    result: { engines: 2, isRejected: true },
  },
  {
    title: 'the entry /redis sends a script to a client of Redis, and says why it fails',
    uses: { index: NAME, redis: `${NAME}/redis` },
    body: `
      const hashes = []
      const evalSha = async (hash) => { hashes.push(hash); throw new Error('no server here') }
      const store = new redis.RedisStore({ client: { evalSha, eval: evalSha, duplicate: () => undefined } })
      const error = await store.check().catch((error) => error)
      await store.close()
      return { code: error.code, isStoreError: error instanceof index.StoreError, why: error.message.includes('no server here'),
        isHash: /^[0-9a-f]{40}$/.test(hashes[0]) }`,
    result: { code: 'STORE', isStoreError: true, why: true, isHash: true },
  },
  {
    title: 'the entry /sqlite keeps a file that the next store recovers',
    uses: { sqlite: `${NAME}/sqlite` },
    body: `
      const lines = []
      const keep = (line) => lines.push(line)
      const logger = { debug: keep, info: keep, warn: keep, error: keep }
      const open = () => new sqlite.SqliteStore({ path: args[2], logger })
      const entries = Array.from({ length: 100 }, (_, index) => ({ streamId: String(index), proxyId: 'p', isOver: false }))
      const first = open()
      const isNew = first.recover().length === 0
      await Promise.all(entries.map((entry) => first.append(entry)))
      const { isDurable } = first
      first.close()
      const second = open()
      const recovered = second.recover().length
      second.close()
      return { isNew, isDurable, recovered, lines }`,
    result: { isNew: true, isDurable: true, recovered: 100, lines: [] },
  },
  {
    title: 'the entry /testing serves a fake orchestrator, and half a minute passes at once',
    uses: { index: NAME, testing: `${NAME}/testing` },
    body: `
      const clock = new testing.ManualClock()
      const fake = new testing.FakeOrchestrator({ engines: 1, clock })
      const server = await fake.listen()
      const answer = await fetch(server.url + '/engines', { headers: { authorization: 'Bearer ' + fake.apiKey, connection: 'close' } })
      const listed = (await answer.json()).length
      await server.close()
      const client = new index.OrchestratorClient({ baseUrl: 'http://orchestrator.test', apiKey: fake.apiKey, clock, transport: fake })
      const lease = await client.acquireEngine()
      const refused = client.acquireEngine({ provision: false, waitMs: 30_000 }).catch((error) => error.code)
      await clock.advance(30_000)
      const code = await refused
      await lease.release()
      await client.close()
      return { listed, code }`,
    result: { listed: 1, code: 'CAPACITY' },
  },
  {
    title: 'the entry /otel makes a span for a call, and one for its request',
    uses: { index: NAME, testing: `${NAME}/testing`, otel: `${NAME}/otel`, api: '@opentelemetry/api' },
    body: `${FAKE_CLIENT}
      const names = []
      const span = api.trace.wrapSpanContext(api.INVALID_SPAN_CONTEXT)
      const tracerProvider = { getTracer: () => ({ startSpan: (name) => (names.push(name), span) }) }
      const instrumentation = otel.instrument(client, { tracerProvider })
      const lease = await client.acquireEngine()
      await lease.release()
      instrumentation.dispose()
      await client.close()
      return ['acquireEngine', 'GET /engines'].filter((name) => names.includes(name))`,
    result: ['acquireEngine', 'GET /engines'],
  },
  {
    title: 'the entry /prometheus exports the metrics of a client',
    uses: { index: NAME, testing: `${NAME}/testing`, prometheus: `${NAME}/prometheus`, prom: 'prom-client' },
    body: `${FAKE_CLIENT}
      const registry = new prom.Registry()
      const collection = prometheus.collectInto(registry, client)
      await client.listEngines()
      const listed = /^acestream_client_engines_listed .*$/m.exec(await registry.metrics())?.[0]
      collection.dispose()
      await client.close()
      return { listed, left: (await registry.metrics()).trim() }`,
    result: { listed: 'acestream_client_engines_listed 2', left: '' },
  },
]

/** The lives of two streams: one has a viewer, and two viewers share the other. */
export const LIVES: Program = {
  title: 'two streams start and end over HTTP, one of them with two viewers',
  uses: { index: NAME },
  body: `
      const client = new index.OrchestratorClient({ baseUrl: args[0], apiKey: args[1], maxStreamsPerEngine: 2 })
      const closed = []
      const opening = (name) => ({
        keyType: 'infohash',
        key: name.repeat(40),
        open: () => ({ session: { ...${SESSION}, playbackSessionId: name }, playback: name }),
        close: (playback) => void closed.push(playback),
        lingerMs: 0,
      })
      const { lingerMs: _, ...alone } = opening('a')
      const stream = await client.openStream(alone)
      const viewers = await Promise.all([client.joinStream(opening('b')), client.joinStream(opening('b'))])
      const isShared = viewers[0].stream === viewers[1].stream
      const { outcome } = await stream.end('finished')
      for (const viewer of viewers) await viewer.leave()
      await client.flush()
      const report = await client.close()
      return { isShared, outcome, closed: closed.sort(), report }`,
  result: { isShared: true, outcome: 'delivered', closed: ['a', 'b'], report: { delivered: 0, undelivered: [] } },
}

/** A viewer's slot is in Redis until it is released. The arguments are the URL of a server, and the name of a new fleet. */
export const REAL_REDIS: Program = {
  title: 'the entry /redis keeps a slot in a redis-server',
  uses: { index: NAME, testing: `${NAME}/testing`, redis: `${NAME}/redis`, library: 'redis' },
  body: `
      const connection = await library.createClient({ url: args[0] }).connect()
      const store = new redis.RedisStore({ client: connection, name: args[1] })
      const fake = new testing.FakeOrchestrator({ engines: 1 })
      const client = new index.OrchestratorClient({ baseUrl: 'http://orchestrator.test', apiKey: fake.apiKey, transport: fake, store })
      const lease = await client.acquireEngine()
      const used = await connection.dbSize()
      const refused = await client.acquireEngine({ provision: false, waitMs: 0 }).catch((error) => error.code)
      await lease.release()
      const next = await client.acquireEngine()
      await next.release()
      await client.close()
      await store.close()
      await connection.close()
      return { isUsed: used > 0, refused }`,
  result: { isUsed: true, refused: 'CAPACITY' },
}
