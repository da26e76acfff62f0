import { Readable, Writable } from 'node:stream'
import * as library from 'acestream-orchestrator-client'
import { expect, it } from 'vitest'
import { playback, setup } from '../support/setup.ts'
import { docCommentBlocks } from './code-blocks.ts'
import { read } from './pages.ts'
import { runBlock } from './run-block.ts'

const PATH = 'src/client.ts'
const examples = docCommentBlocks({ path: PATH, text: read(PATH) }).map((block) => [`${PATH}:${block.line}`, block] as const)

it('each entry point of the client has an example', () => {
  const code = examples.map(([, block]) => block.code).join('\n')
  const calls = [
    'acquireEngine',
    'openStream',
    'joinStream',
    'streamStarted',
    'streamEnded',
    'on',
    'close',
    'reconcile',
    'flush',
    'checkHealth',
    'fromEnv',
  ]
  expect(['new OrchestratorClient(', ...calls.map((name) => `.${name}(`)].filter((call) => !code.includes(call))).toEqual([])
})

it.each(examples)('the example at %s runs without an error on a fake orchestrator', async (_, block) => {
  const { client, fake } = setup({ engines: 1 })
  const seen: string[] = []
  const response = new Writable({
    write(chunk, _encoding, done) {
      seen.push(String(chunk))
      done()
    },
  })
  const silent = { log() {}, info() {}, warn() {}, error() {}, debug() {} }
  await runBlock(block, {
    modules: { 'acestream-orchestrator-client': library },
    globals: {
      ...(block.code.includes('const client =') ? {} : { client }),
      response,
      console: silent,
      apiKey: 'key',
      infohash: 'a'.repeat(40),
      signal: new AbortController().signal,
      openPlayback: async () => ({ session: playback().session, video: Readable.from(['video']) }),
      openBroadcast: async () => ({
        session: playback().session,
        playback: { copyTo: async (viewer: Writable) => void viewer.write('video'), stop: async () => {} },
      }),
    },
  })
  const served = /(start|open|join)Stream\(/.test(block.code)
  expect(seen).toEqual(served ? ['video'] : [])
  expect(fake.counters.startsApplied).toBe(served || block.code.includes('streamStarted(') ? 1 : 0)
})
