import { OrchestratorClient, type OrchestratorClientOptions } from 'acestream-orchestrator-client'
import { FakeOrchestrator, type FakeOrchestratorOptions, ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import { onTestFinished } from 'vitest'

export interface Setup {
  clock: ManualClock
  fake: FakeOrchestrator
  client: OrchestratorClient
}

/** A client on a fake orchestrator, both on one manual clock. Closed when the test is over. */
export function setup(fakeOptions: FakeOrchestratorOptions = {}, clientOptions: Partial<OrchestratorClientOptions> = {}): Setup {
  const clock = new ManualClock()
  const fake = new FakeOrchestrator({ clock, random: seededRandom(1), ...fakeOptions })
  return { clock, fake, client: connect(fake, clock, clientOptions) }
}

/** Creates another client for the same orchestrator. */
export function connect(fake: FakeOrchestrator, clock: ManualClock, options: Partial<OrchestratorClientOptions> = {}): OrchestratorClient {
  return openClient(fake, clock, { transport: fake, ...options })
}

/** A client with the default transport, unless `options` name another one. Closed when the test is over. */
export function openClient(fake: FakeOrchestrator, clock: ManualClock, options: Partial<OrchestratorClientOptions>): OrchestratorClient {
  const client = new OrchestratorClient({
    baseUrl: 'http://orchestrator.test',
    apiKey: fake.apiKey,
    clock,
    random: seededRandom(2),
    healthIntervalMs: 0,
    reconcileIntervalMs: 0,
    ...options,
  })
  onTestFinished(async () => {
    const closing = client.close({ timeoutMs: 100 })
    await clock.advance(200)
    await closing
  })
  return client
}

/** The playback session that an engine would return for this content. */
export function playback(key = 'a'.repeat(40), session = 'session-1') {
  return {
    keyType: 'infohash' as const,
    key,
    session: {
      playbackSessionId: session,
      statUrl: `http://127.0.0.1:6878/ace/stat/${key}/${session}`,
      commandUrl: `http://127.0.0.1:6878/ace/cmd/${key}/${session}`,
      isLive: true,
    },
  }
}

/** Advances virtual time in steps until `work` settles. Settles like `work`. */
export async function during<T>(clock: ManualClock, work: Promise<T>, stepMs = 50, mostMs = 600_000): Promise<T> {
  let settled = false
  const done = (): void => {
    settled = true
  }
  work.then(done, done)
  await clock.settle()
  for (let passed = 0; !settled && passed < mostMs; passed += stepMs) await clock.advance(stepMs)
  return work
}

/** The error that `work` rejects with. */
export async function failureOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => {
      throw new Error('expected a rejection')
    },
    (error: unknown) => error,
  )
}
