import { AsyncLocalStorage } from 'node:async_hooks'
import type { OrchestratorClientOptions } from 'acestream-orchestrator-client'
import {
  createHandlers,
  FakeOrchestrator,
  type FakeOrchestratorOptions,
  type FakeRequest,
  ManualClock,
  seededRandom,
} from 'acestream-orchestrator-client/testing'
import type { HttpHandler } from 'msw'
import { type SetupServer, setupServer } from 'msw/node'
import { afterAll, beforeAll, beforeEach, onTestFinished } from 'vitest'
import { KyTransport } from '../../src/runtime/ky-transport.ts'
import { openClient, type Setup } from './setup.ts'

/** One call of the default transport, until it settles. */
interface Call {
  /** Whether a handler holds the request. It then continues only when the clock advances or the test lets it. */
  isHeld: boolean
}

/** Calls that have not settled. */
const calls = new Set<Call>()
const callOfHandler = new AsyncLocalStorage<Call>()

async function tracked<T>(start: () => Promise<T>): Promise<T> {
  const call: Call = { isHeld: false }
  calls.add(call)
  try {
    return await callOfHandler.run(call, start)
  } finally {
    calls.delete(call)
  }
}

/**
 * Marks a request as held by its handler while `work` is pending. A handler that waits for the clock or the test, or that never answers, must
 * use this; otherwise {@link WireClock} waits for it.
 */
export async function held<T>(work: Promise<T>): Promise<T> {
  const call = callOfHandler.getStore()
  if (call === undefined) throw new Error('This request did not come from a KyTransport')
  call.isHeld = true
  try {
    return await work
  } finally {
    call.isHeld = false
  }
}

/**
 * A manual clock for the default transport: no time passes while a request or an answer is in flight between the transport and the handler.
 * So a request takes no virtual time, even on a slow machine.
 */
export class WireClock extends ManualClock {
  override async settle(): Promise<void> {
    do await super.settle()
    while ([...calls].some(({ isHeld }) => !isHeld))
  }
}

/**
 * An msw server for all tests of a file. A request without a handler fails its test, even if the client hides the failure.
 * Each test begins without handlers: add them with `server.use()`.
 */
export function mswServer(): SetupServer {
  const server = setupServer()
  const unhandled: string[] = []
  const { request, stream } = KyTransport.prototype
  server.events.on('request:unhandled', (event) => void unhandled.push(`${event.request.method} ${event.request.url}`))

  beforeAll(async () => {
    // Load ky now: loading reads files and takes many turns of the event loop, which would disturb the first test.
    await import('ky')
    KyTransport.prototype.request = function (sent) {
      return tracked(() => request.call(this, sent))
    }
    KyTransport.prototype.stream = function (sent) {
      return tracked(() => stream.call(this, sent))
    }
    server.listen({ onUnhandledFrame: 'error' })
  })
  // Registered before the callbacks of the test, so it runs after them: the clients of the test are closed by then.
  beforeEach(() =>
    onTestFinished(() => {
      server.resetHandlers()
      const requests = unhandled.splice(0)
      if (requests.length > 0) throw new Error(`Requests without a handler: ${requests.join(', ')}`)
    }),
  )
  afterAll(() => {
    server.close()
    Object.assign(KyTransport.prototype, { request, stream })
  })
  return server
}

/** The handlers of a fake orchestrator, for a {@link WireClock}. */
function handlersOf(fake: FakeOrchestrator, baseUrl?: string): HttpHandler[] {
  const handle = fake.handle.bind(fake)
  fake.handle = (request: FakeRequest) => held(handle(request))
  return createHandlers(fake, baseUrl)
}

/** Like `setup()`, but the client uses its default transport, and msw handlers pass the requests to the fake orchestrator. */
export function setupOnMsw(
  server: SetupServer,
  fakeOptions: FakeOrchestratorOptions = {},
  clientOptions: Partial<OrchestratorClientOptions> = {},
): Setup {
  const clock = new WireClock()
  const fake = new FakeOrchestrator({ clock, random: seededRandom(1), ...fakeOptions })
  server.use(...handlersOf(fake))
  return { clock, fake, client: openClient(fake, clock, clientOptions) }
}
