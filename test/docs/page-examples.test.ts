import { Readable, Writable } from 'node:stream'
import * as streams from 'node:stream/promises'
import * as library from 'acestream-orchestrator-client'
import { expect, it } from 'vitest'
import { playback, setup } from '../support/setup.ts'
import { type CodeBlock, fencedBlocks } from './code-blocks.ts'
import { read } from './pages.ts'
import { runBlock } from './run-block.ts'

/** The first block of TypeScript of a page that contains `text`. */
function blockOf(path: string, text: string): CodeBlock {
  const block = fencedBlocks({ path, text: read(path) }).find(({ code, language }) => language === 'ts' && code.includes(text))
  if (block === undefined) throw new Error(`no block of ${path} contains ${text}`)
  return block
}

it('the first example of the README serves a viewer, and reports the start and the end of the stream', async () => {
  const { client, fake } = setup({ engines: 1 })
  const seen: string[] = []
  const response = new Writable({
    write(chunk, _, done) {
      seen.push(String(chunk))
      expect(fake.liveStreamIds()).toHaveLength(1)
      done()
    },
  })
  const options: library.OrchestratorClientOptions[] = []
  /** Replaces the client class in the example: returns the client that is connected to the fake orchestrator. */
  function OrchestratorClient(given: library.OrchestratorClientOptions): library.OrchestratorClient {
    options.push(given)
    return client
  }
  await runBlock(blockOf('README.md', 'acquireEngine('), {
    modules: { 'node:stream/promises': streams, 'acestream-orchestrator-client': { ...library, OrchestratorClient } },
    globals: {
      apiKey: 'key',
      infohash: 'a'.repeat(40),
      signal: new AbortController().signal,
      response,
      openPlayback: async () => ({ session: playback().session, video: Readable.from(['some', 'video']) }),
    },
  })
  expect(options).toEqual([{ baseUrl: 'http://orchestrator:8000', apiKey: 'key', maxStreamsPerEngine: 2 }])
  expect(seen.join('')).toBe('somevideo')
  expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 1 })
  expect(client.metrics()).toMatchObject({ leases: { active: 0 }, streams: { live: 0 } })
})

it('the 503 example of the reference answers a CapacityError with whole seconds and the reason, and does not answer other errors', async () => {
  const answers: unknown[] = []
  const response = {
    writeHead: (status: number, headers: Record<string, unknown>) => ({ end: (body: string) => answers.push({ status, headers, body }) }),
  }
  const full = new library.CapacityError('full', { reason: 'full', retryAfterMs: 1_200, shouldWait: true, canRetry: true })
  for (const error of [full, new library.ClientClosedError('closed'), undefined]) {
    await runBlock(blockOf('docs/reference.md', '503'), {
      modules: { 'acestream-orchestrator-client': library },
      globals: { error, response },
    })
  }
  expect(answers).toEqual([{ status: 503, headers: { 'retry-after': '2' }, body: 'full' }])
})
