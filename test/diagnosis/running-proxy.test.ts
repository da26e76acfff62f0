import { describe, expect, it } from 'vitest'
import { OrchestratorClient } from '../../src/index.ts'
import { SystemClock } from '../../src/runtime/clock.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { RecordingLogger } from '../support/recording-logger.ts'
import { KEY, WRONG_THINGS, type WrongThing } from './wrong-things.ts'

/** What a proxy says in the world of a wrong thing. */
interface Said {
  /** The message of the error that the first viewer gets. Empty: the viewer watches. */
  readonly error: string
  /** The lines of the levels `warn` and `error`, with their errors. */
  readonly logged: readonly string[]
}

/** Serves one viewer in the world of a wrong thing. */
async function serveOne({ make }: WrongThing): Promise<Said> {
  const closers: (() => unknown)[] = []
  const logger = new RecordingLogger()
  try {
    const world = await make((close) => closers.push(close))
    const { url, hangs, hangsS = 0, overrides, connect } = world
    const apiKey = 'key' in world ? world.key : KEY
    const clock = hangs === undefined ? new SystemClock() : new ManualClock()
    await using client = new OrchestratorClient({
      baseUrl: url,
      ...(apiKey !== undefined && { apiKey }),
      clock,
      logger,
      retry: { attempts: 1 },
      healthIntervalMs: 0,
      ...(overrides as object),
    })
    const opening = client.openStream({
      keyType: 'infohash',
      key: 'a'.repeat(40),
      waitMs: 0,
      open: async ({ host, port }) => {
        // As `fetch` does: its own message never says why.
        await (connect ?? (async () => {}))({ host, port }, { signal: AbortSignal.timeout(1_000) }).catch((cause: unknown) => {
          throw new TypeError('fetch failed', { cause })
        })
        return { session: { playbackSessionId: 's', statUrl: 'http://engine/stat', commandUrl: 'http://engine/cmd' }, playback: undefined }
      },
    })
    const failed = opening.then(
      () => '',
      (error: unknown) => (error as Error).message,
    )
    if (clock instanceof ManualClock) {
      await hangs
      for (let second = 0; second < hangsS; second += 1) await clock.advance(1_000)
    }
    const error = await failed
    const lines = logger.all.filter(({ level }) => level === 'warn' || level === 'error')
    return {
      error,
      logged: lines.map(({ level, message, fields }) => `${level} ${message} ${(fields as { error?: Error }).error?.message}`),
    }
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

const DOCTOR = /^(?:warn|error) The engine list could not be read\. To find out why: npx acestream-orchestrator-client doctor /
const WATCHES = ''
const LISTEN = /nothing listens there\. Check the port, and that the orchestrator is running/
const PATH = /answered 404: .*; an orchestrator has this list\. Check the port and the path of baseUrl, and the option dialect$/
const OTHER_SERVICE = /a login page or another service answers at http:\/\/127\.0\.0\.1:\d+; check baseUrl$/
const MAY_BE_TLS = /the connection broke\. If this lasts, check the port: it may speak TLS \(https:\/\/\), or another protocol$/
const UNREACHABLE = /They cannot be reached from here: .*acestream-orchestrator-client doctor, and see the option mapEngine$/

/** For each wrong thing: what the error of the viewer says, and the line of the log if it is another one than {@link DOCTOR}. */
const SAID: Readonly<Record<string, readonly [error: RegExp | typeof WATCHES, logged?: RegExp]>> = {
  'All is well': [WATCHES],
  'The host name is wrong, or exists only in a Docker network': [/ENOTFOUND: the host name cannot be resolved here\. .*Docker network$/],
  'Nothing listens at the port': [LISTEN],
  'Nothing listens at the port, but an orchestrator at port 8000': [LISTEN],
  'There is no route to the host': [/EHOSTUNREACH: there is no route to the host/],
  'A firewall drops the packets': [/192\.0\.2\.7:8000.*no complete answer within 3000 ms \(requestTimeoutMs\)$/],
  'The orchestrator hangs': [/no complete answer within 3000 ms \(requestTimeoutMs\)$/],
  'Another web server answers at the port': [PATH],
  'The service at the port does not speak HTTP': [/the service at this port does not speak HTTP\. Check the port$/],
  'The connection breaks': [MAY_BE_TLS],
  'The port is one that fetch blocks': [/bad port: fetch blocks this port.* another port$/],
  'A login page answers': [OTHER_SERVICE],
  'A login redirects': [OTHER_SERVICE],
  'The address redirects to https': [/if the orchestrator is there, begin baseUrl with https:\/\/127\.0\.0\.1:8443$/],
  'A proxy in front wants its own credentials': [
    /answered 401: a proxy in front of the orchestrator wants basic credentials$/,
    /^error The orchestrator at \S+ is behind a proxy that rejects requests\. Pass its credentials in the option headers /,
  ],
  'A proxy in front cannot reach the orchestrator': [/answered 502: HTML: a proxy in front of the orchestrator cannot reach it$/],
  'A proxy in front limits the requests': [/answered 429: slow down$/],
  'The prefix of a reverse proxy is missing': [OTHER_SERVICE],
  'The prefix is there twice': [PATH],
  'The path of an endpoint is in the address': [PATH],
  'The option dialect names another API': [PATH],
  'The certificate is self-signed': [/NODE_EXTRA_CA_CERTS/],
  'The port speaks TLS, the address says http': [MAY_BE_TLS],
  'The port speaks http, the address says https': [/the port does not speak TLS: set baseUrl to http:\/\//],
  'The orchestrator listens on IPv4 only': [LISTEN],
  'The API key is missing': [/answered 401: /, /^error The orchestrator at \S+ requires an API key, and none is set\. Set apiKey/],
  'The API key is wrong': [WATCHES],
  'The internal port of v1': [WATCHES],
  'The internal port of v1, with a wrong key': [/answered 401: /, /^error The orchestrator at \S+ rejects the API key\. Set apiKey/],
  'The engines have names of a Docker network': [UNREACHABLE],
  'The engines have addresses of a Docker network': [UNREACHABLE],
  'An engine refuses connections': [WATCHES],
  'All engines are full': [/^The only engine is full\. Retry in 5 s\.$/],
  'There is no engine': [/^There is no engine\. Retry in 5 s\.$/],
  'All engines are unhealthy': [/^Of 1 engine, 1 is unhealthy\. Retry in 5 s\.$/],
  'The VPN is down': [WATCHES],
  'The circuit breaker of the orchestrator is open': [WATCHES],
  'The clocks differ': [WATCHES],
  'Redis cannot be reached': [WATCHES],
}

describe('a running proxy says what is wrong and what to do', () => {
  it('about each wrong thing of the doctor', () => {
    expect(Object.keys(SAID)).toEqual(WRONG_THINGS.map(({ title }) => title))
  })

  it.each(WRONG_THINGS.map((thing) => [thing.title, thing] as const))('%s', async (title, thing) => {
    const [expected = WATCHES, line = DOCTOR] = SAID[title] ?? []
    const { error, logged } = await serveOne(thing)
    expect(error + logged.join()).not.toContain(KEY)
    if (typeof expected === 'string') {
      expect([error, ...logged]).toEqual([''])
      return
    }
    expect(error).toMatch(expected)
    // The cause is logged once. The log says nothing about engines that are full or fail to play: each viewer's error does.
    const isAboutEngines = /^(?:No engine could play|The only engine|There is no|Of 1 engine)/.test(error)
    expect(logged).toEqual(isAboutEngines ? [] : [expect.stringMatching(line)])
    if (!isAboutEngines) expect(logged[0]).toContain(error)
  })
})
