import { createServer, type Server as HttpServer, type RequestListener } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Socket, type Server as TcpServer } from 'node:net'
import type { EnvironmentOverrides } from '../../src/options/environment.ts'
import { type Connect, loadConnect } from '../../src/runtime/connect.ts'
import { KyTransport } from '../../src/runtime/ky-transport.ts'
import type { Transport, TransportRequest } from '../../src/runtime/transport.ts'
import { FakeOrchestrator, type FakeOrchestratorOptions, type ListenOptions, ManualClock } from '../../src/testing/index.ts'
import { SELF_SIGNED_CERTIFICATE, SELF_SIGNED_KEY } from '../support/self-signed.ts'

/** The key of the orchestrators in these worlds. */
export const KEY = 'right-key-4711'

/** A world in which one thing is wrong, with a real server where that is possible. */
export interface World {
  readonly url: string
  /** @default the right key */
  readonly key?: string | undefined
  readonly overrides?: EnvironmentOverrides
  readonly connect?: Connect
  /** Variables of the environment. */
  readonly env?: Readonly<Record<string, string>>
  /** Texts of this world, and how the page shows them. */
  readonly shown?: Readonly<Record<string, string>>
  /** Resolves when the server hangs. Then the test moves the clock by `hangsS` seconds. */
  readonly hangs?: Promise<unknown>
  readonly hangsS?: number
}

/** One thing that can be wrong. */
export interface WrongThing {
  /** The heading on the page. */
  readonly title: string
  /** The codes of the problems that the doctor finds. */
  readonly codes: readonly string[]
  /** Makes the world. Everything that it opens is closed by `defer`. */
  readonly make: (defer: (close: () => unknown) => void) => Promise<World>
}

type Defer = Parameters<WrongThing['make']>[0]

async function listen(server: HttpServer | TcpServer, defer: Defer, host = '127.0.0.1'): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  defer(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return (server.address() as AddressInfo).port
}

/** The address at which the orchestrators of these worlds list their engine. A connection there goes to a port of this machine. */
const ENGINE_ADDRESS = { host: '10.0.0.5', port: 19_000 }

/** Connects to ports of this machine, by the port at which an engine is listed. */
function connectTo(ports: Readonly<Record<number, number>>): Connect {
  return async (address, options) => {
    const connect = await loadConnect()
    const port = ports[address.port]
    await connect?.(port === undefined ? address : { host: '127.0.0.1', port }, options)
  }
}

/** An orchestrator on a real socket, whose engine accepts connections. */
async function orchestrator(
  defer: Defer,
  { listen: where, ...options }: FakeOrchestratorOptions & { listen?: ListenOptions } = {},
): Promise<{ fake: FakeOrchestrator; url: string; connect: Connect }> {
  const fake = new FakeOrchestrator({ apiKey: KEY, engines: [{ ...ENGINE_ADDRESS, containerId: ENGINE }], ...options })
  const server = await fake.listen(where)
  defer(() => server.close())
  const engine = await listen(createTcpServer(), defer)
  return { fake, url: server.url, connect: connectTo({ [ENGINE_ADDRESS.port]: engine }) }
}

/** A container id, as Docker makes them. */
const ENGINE = '3b0b9807906a680d3468148d2c60491164a51b45d3ff5d8b36173672caacb1af'

async function httpServer(defer: Defer, answer: RequestListener): Promise<string> {
  return `http://127.0.0.1:${await listen(createServer(answer), defer)}`
}

/** A port at which nothing listens. */
async function freePort(): Promise<number> {
  let close: (() => unknown) | undefined
  const port = await listen(createTcpServer(), (closing) => {
    close = closing
  })
  await close?.()
  return port
}

/**
 * The default transport for one machine: the default port of the orchestrator, which a developer may use, is closed, or is the port of a server of
 * the test.
 */
function transportWith(port8000?: string): Transport {
  const ky = new KyTransport()
  const place = (request: TransportRequest): TransportRequest => {
    const { url } = request
    if (url.toString().startsWith('http://127.0.0.1:8000') !== true) return request
    if (port8000 === undefined) throw Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:8000'), { code: 'ECONNREFUSED' })
    return { ...request, url: new URL(`${port8000}${url.pathname}`) }
  }
  return { request: async (request) => ky.request(place(request)), stream: async (request) => ky.stream(place(request)) }
}

/** A transport whose connections all fail with this code. */
function failingWith(code: string): Transport {
  return {
    request: async () => {
      throw Object.assign(new Error(`connect ${code}`), { code })
    },
  }
}

const page =
  (body: string): RequestListener =>
  (_, response) =>
    response.writeHead(200, { 'content-type': 'text/html' }).end(body)
const LOGIN = '<!doctype html><html><body><form action="/login"><input name="password"></form></body></html>'

/** Passes requests below a prefix on to an orchestrator, as a reverse proxy does. */
function underPrefix(prefix: string, fake: FakeOrchestrator): RequestListener {
  return async (request, response) => {
    const { method = 'GET', url = '/', headers } = request
    if (!url.startsWith(`${prefix}/`))
      return void response.writeHead(404, { 'content-type': 'text/html' }).end('<html><h1>404 Not Found</h1></html>')
    const answer = await fake.handle({ method, path: url.slice(prefix.length), authorization: headers.authorization, body: '' })
    response.writeHead(answer.status, answer.headers).end(answer.body)
  }
}

const withTransport = (port8000?: string): Pick<World, 'overrides'> => ({ overrides: { transport: transportWith(port8000) } })

/** A world whose only trouble is in what the orchestrator answers. */
const troubled = (options: FakeOrchestratorOptions, trouble: (fake: FakeOrchestrator) => void = () => {}): WrongThing['make'] => {
  return async (defer) => {
    const { fake, ...world } = await orchestrator(defer, options)
    trouble(fake)
    return world
  }
}

/** All wrong things, in the order of the page. */
export const WRONG_THINGS: readonly WrongThing[] = [
  { title: 'All is well', codes: [], make: troubled({ generation: 'v1' }) },
  {
    title: 'The host name is wrong, or exists only in a Docker network',
    codes: ['host_not_found'],
    make: async () => ({ url: 'http://orchestrator-of-nobody:8000', shown: { 'orchestrator-of-nobody': 'orchestrator' } }),
  },
  {
    title: 'Nothing listens at the port',
    codes: ['connection_refused'],
    make: async () => ({ url: `http://127.0.0.1:${await freePort()}`, ...withTransport() }),
  },
  {
    title: 'Nothing listens at the port, but an orchestrator at port 8000',
    codes: ['connection_refused'],
    make: async (defer) => ({ url: `http://127.0.0.1:${await freePort()}`, ...withTransport((await orchestrator(defer)).url) }),
  },
  {
    title: 'There is no route to the host',
    codes: ['host_unreachable'],
    make: async () => ({ url: 'http://192.0.2.7:8000', overrides: { transport: failingWith('EHOSTUNREACH') } }),
  },
  {
    title: 'A firewall drops the packets',
    codes: ['connect_timeout'],
    make: async () => ({
      url: 'http://192.0.2.7:8000',
      overrides: { transport: { request: () => new Promise(() => {}) } },
      connect: () => new Promise(() => {}),
      hangs: Promise.resolve(),
      hangsS: 10,
    }),
  },
  {
    title: 'The orchestrator hangs',
    codes: ['no_answer'],
    make: async (defer) => {
      const { promise: hangs, resolve } = Promise.withResolvers<void>()
      return { url: await httpServer(defer, () => resolve()), hangs, hangsS: 4 }
    },
  },
  {
    title: 'Another web server answers at the port',
    codes: ['wrong_service'],
    make: async (defer) => ({
      url: await httpServer(defer, (_, response) => response.writeHead(404).end('{"message":"Route not found"}')),
      ...withTransport(),
    }),
  },
  {
    title: 'The service at the port does not speak HTTP',
    codes: ['not_http'],
    make: async (defer) => {
      const port = await listen(
        createTcpServer((socket) => socket.end('220 mail.example.com ESMTP\r\n')),
        defer,
      )
      return { url: `http://127.0.0.1:${port}`, ...withTransport() }
    },
  },
  {
    title: 'The connection breaks',
    codes: ['connection_broken'],
    make: async (defer) => {
      const port = await listen(
        createTcpServer((socket) => socket.once('data', () => socket.destroy())),
        defer,
      )
      return { url: `http://127.0.0.1:${port}`, ...withTransport() }
    },
  },
  {
    title: 'The port is one that fetch blocks',
    codes: ['connection_broken'],
    make: async () => ({ url: 'http://127.0.0.1:6000', ...withTransport() }),
  },
  {
    title: 'A login page answers',
    codes: ['login_page'],
    make: async (defer) => ({ url: await httpServer(defer, page(LOGIN)), ...withTransport() }),
  },
  {
    title: 'A login redirects',
    codes: ['login_page'],
    make: async (defer) => {
      const url = await httpServer(defer, ({ url: path }, response) => {
        if (path === '/login') response.writeHead(200, { 'content-type': 'text/html' }).end(LOGIN)
        else response.writeHead(302, { location: '/login?next=engines' }).end()
      })
      return { url, ...withTransport() }
    },
  },
  {
    title: 'The address redirects to https',
    codes: ['redirected'],
    make: async (defer) => {
      const url = await httpServer(defer, (request, response) =>
        response.writeHead(308, { location: `https://127.0.0.1:8443${request.url}` }).end(),
      )
      return { url, ...withTransport() }
    },
  },
  {
    title: 'A proxy in front wants its own credentials',
    codes: ['access_denied'],
    make: async (defer) => ({
      url: await httpServer(defer, (_, response) => response.writeHead(401, { 'www-authenticate': 'Basic realm="media"' }).end('no')),
    }),
  },
  {
    title: 'A proxy in front cannot reach the orchestrator',
    codes: ['gateway_error'],
    make: async (defer) => ({
      url: await httpServer(defer, (_, response) =>
        response.writeHead(502, { 'content-type': 'text/html' }).end('<html><h1>502 Bad Gateway</h1></html>'),
      ),
    }),
  },
  {
    title: 'A proxy in front limits the requests',
    codes: ['rate_limited'],
    make: async (defer) => ({ url: await httpServer(defer, (_, response) => response.writeHead(429).end('slow down')) }),
  },
  {
    title: 'The prefix of a reverse proxy is missing',
    codes: ['wrong_path'],
    make: async (defer) => {
      const { fake, connect } = await orchestrator(defer)
      return { url: await httpServer(defer, underPrefix('/orchestrator', fake)), ...withTransport(), connect }
    },
  },
  {
    title: 'The prefix is there twice',
    codes: ['wrong_path'],
    make: async (defer) => {
      const { fake, connect } = await orchestrator(defer)
      return { url: `${await httpServer(defer, underPrefix('/acestream', fake))}/acestream/acestream`, ...withTransport(), connect }
    },
  },
  {
    title: 'The path of an endpoint is in the address',
    codes: ['wrong_path'],
    make: async (defer) => {
      const { url, connect } = await orchestrator(defer, { generation: 'v1' })
      return { url: `${url}/api/v1/engines`, ...withTransport(), connect }
    },
  },
  {
    title: 'The option dialect names another API',
    codes: ['wrong_dialect'],
    make: async (defer) => {
      const { url, connect } = await orchestrator(defer)
      return { url, overrides: { dialect: 'v1', transport: transportWith() }, connect }
    },
  },
  {
    title: 'The certificate is self-signed',
    codes: ['tls_failed'],
    make: async (defer) => {
      const { fake } = await orchestrator(defer)
      const server = createTlsServer({ cert: SELF_SIGNED_CERTIFICATE, key: SELF_SIGNED_KEY }, underPrefix('', fake))
      return { url: `https://127.0.0.1:${await listen(server, defer)}` }
    },
  },
  {
    title: 'The port speaks TLS, the address says http',
    codes: ['tls_required'],
    make: async (defer) => {
      const { fake } = await orchestrator(defer)
      const server = createTlsServer({ cert: SELF_SIGNED_CERTIFICATE, key: SELF_SIGNED_KEY }, underPrefix('', fake))
      return { url: `http://127.0.0.1:${await listen(server, defer)}`, ...withTransport() }
    },
  },
  {
    title: 'The port speaks http, the address says https',
    codes: ['tls_failed'],
    make: async (defer) => ({ url: (await orchestrator(defer)).url.replace('http:', 'https:') }),
  },
  {
    title: 'The orchestrator listens on IPv4 only',
    codes: ['connection_refused'],
    make: async (defer) => ({ url: (await orchestrator(defer)).url.replace('127.0.0.1', '[::1]') }),
  },
  {
    title: 'The API key is missing',
    codes: ['key_missing'],
    make: async (defer) => ({ ...(await orchestrator(defer, { generation: '2026-04' })), key: undefined }),
  },
  {
    title: 'The API key is wrong',
    codes: ['key_rejected'],
    make: async (defer) => ({ ...(await orchestrator(defer, { generation: 'v1' })), key: 'wrong-key-4712' }),
  },
  {
    title: 'The internal port of v1',
    codes: ['internal_port'],
    make: async (defer) => orchestrator(defer, { generation: 'v1', listen: { surface: 'internal' } }),
  },
  {
    title: 'The internal port of v1, with a wrong key',
    codes: ['key_rejected', 'internal_port'],
    make: async (defer) => ({
      ...(await orchestrator(defer, { generation: 'v1', listen: { surface: 'internal' } })),
      key: 'wrong-key-4712',
    }),
  },
  {
    title: 'The engines have names of a Docker network',
    codes: ['engine_host_not_found'],
    make: troubled({ engines: [{ containerId: ENGINE, host: 'gluetun-of-nobody', port: 1 }] }),
  },
  {
    title: 'The engines have addresses of a Docker network',
    codes: ['engine_unreachable'],
    make: async (defer) => ({
      ...(await orchestrator(defer, { engines: [{ containerId: ENGINE, host: '172.18.0.5', port: 19000 }] })),
      connect: async () => {
        throw Object.assign(new Error('connect EHOSTUNREACH'), { code: 'EHOSTUNREACH' })
      },
    }),
  },
  {
    title: 'An engine refuses connections',
    codes: ['engine_refused'],
    make: async (defer) => {
      const engines = [
        { ...ENGINE_ADDRESS, containerId: ENGINE },
        { ...ENGINE_ADDRESS, port: 19_001, containerId: '1a8690d0c54d1b406bcedbdb68fa43091261fb97dca00852386eb5a70d3b7df6' },
      ]
      const { url } = await orchestrator(defer, { engines })
      return { url, connect: connectTo({ 19000: await listen(createTcpServer(), defer), 19001: await freePort() }) }
    },
  },
  {
    title: 'All engines are full',
    codes: ['engines_full', 'provisioning_blocked'],
    make: troubled({ generation: 'v1', maxReplicas: 1 }, (fake) => fill(fake)),
  },
  { title: 'There is no engine', codes: ['no_engines'], make: troubled({ engines: 0 }) },
  {
    title: 'All engines are unhealthy',
    codes: ['engines_unusable'],
    make: troubled({}, (fake) => fake.updateEngine(ENGINE, { healthStatus: 'unhealthy' })),
  },
  {
    title: 'The VPN is down',
    codes: ['vpn_down'],
    make: troubled({ generation: '2025-10' }, (fake) => fake.setProvisioning({ refuse: 'vpn_disconnected' })),
  },
  {
    title: 'The circuit breaker of the orchestrator is open',
    codes: ['breaker_open'],
    make: troubled({ generation: 'v1' }, (fake) => fake.setProvisioning({ refuse: 'circuit_breaker' })),
  },
  {
    title: 'The clocks differ',
    codes: ['clock_skew'],
    make: async (defer) => orchestrator(defer, { clock: new ManualClock(Date.now() + 90_000) }),
  },
  {
    title: 'Redis cannot be reached',
    codes: ['store_unavailable'],
    make: async (defer) => {
      const { url } = await orchestrator(defer)
      const ports = { 19000: await listen(createTcpServer(), defer), 6379: await freePort() }
      return { url, connect: connectTo(ports), env: { ACEXY_STORE: 'redis://:redis-password@10.0.0.9:6379' } }
    },
  },
]

function fill(fake: FakeOrchestrator): void {
  for (const { containerId } of fake.engines) fake.startElsewhere({ containerId })
}
