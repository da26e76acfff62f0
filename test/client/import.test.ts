import { describe, expect, it } from 'vitest'
import { run } from './own-process.ts'

/** Code that observes the side effects of an import: changed globals and listeners, timers, open resources, and the modules that were loaded. */
const OBSERVE = `
import { registerHooks } from 'node:module'
const loaded = []
registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
const describeGlobals = () => Reflect.ownKeys(globalThis).map((name) => {
  const { value, get } = Object.getOwnPropertyDescriptor(globalThis, name)
  return [name, value, get]
})
const prototypes = [Object, Array, Promise, Map, Set, Date, Error, AbortSignal, Headers, Request, Response, URL].map((type) => type.prototype)
const describePrototypes = () => prototypes.flatMap((prototype) => Reflect.ownKeys(prototype).map((key) => {
  const { value, get } = Object.getOwnPropertyDescriptor(prototype, key)
  return [key, value, get]
}))
const same = (a, b) => a.length === b.length && a.every((entry, index) => entry.every((part, at) => Object.is(part, b[index][at])))
let timersStarted = 0
for (const name of ['setTimeout', 'setInterval', 'setImmediate']) {
  const real = globalThis[name]
  globalThis[name] = (...args) => ((timersStarted += 1), real(...args))
}
const resources = () => process.getActiveResourcesInfo().toSorted()
const listeners = () => process.eventNames().map((name) => [name, process.listenerCount(name)])
`

const print = (expression: string) => `console.log(JSON.stringify(${expression}))`

describe('importing the package', () => {
  it.each([['acestream-orchestrator-client'], ['acestream-orchestrator-client/testing'], ['acestream-orchestrator-client/sqlite']])(
    'importing %s changes no global and no prototype, adds no listener, and starts no timer or socket',
    async (name) => {
      const { exit, output } = await run(
        `${OBSERVE}
      void [globalThis.fetch, globalThis.crypto, globalThis.navigator, globalThis.performance] // Node makes some of them on the first read
      const before = { globals: describeGlobals(), prototypes: describePrototypes(), listeners: listeners(), resources: resources() }
      await import(process.argv[1])
      ${print(`{
        globals: same(before.globals, describeGlobals()),
        prototypes: same(before.prototypes, describePrototypes()),
        listeners: same(before.listeners, listeners()),
        timersStarted,
        before: before.resources,
        after: resources(),
        exitCode: process.exitCode ?? 0,
      }`)}`,
        [name],
      )
      const { before, after, ...observed } = JSON.parse(output)
      expect(after).toEqual(before)
      expect(observed).toEqual({ globals: true, prototypes: true, listeners: true, timersStarted: 0, exitCode: 0 })
      expect(exit).toBe(0)
    },
  )

  it('importing the package and creating a client loads no dependency, and no code for requests, pushes and playbacks', async () => {
    const { exit, output } = await run(`${OBSERVE}
      const { OrchestratorClient } = await import('acestream-orchestrator-client')
      new OrchestratorClient({ baseUrl: 'http://orchestrator.test' })
      OrchestratorClient.fromEnv({})
      ${print(`{
        dependencies: loaded.filter((url) => url.includes('/node_modules/')),
        later: loaded.filter((url) => /\\/(?:calls|requester|ky-exchange|push-connection|push-source|playbacks|opener)\\.ts/.test(url)),
        others: loaded.filter((url) => /\\/src\\/testing\\/|sqlite/.test(url)),
        own: loaded.filter((url) => /\\/src\\/(?:client|wiring)\\.ts/.test(url)).length,
      }`)}`)
    expect(JSON.parse(output)).toEqual({ dependencies: [], later: [], others: [], own: 2 })
    expect(exit).toBe(0)
  })

  it('creating a client opens no socket and starts no timer', async () => {
    const { exit, output } = await run(`
      const { OrchestratorClient } = await import('acestream-orchestrator-client')
      const client = new OrchestratorClient({ baseUrl: 'http://orchestrator.test' })
      client.metrics(); client.on('engine:acquired', () => {})
      ${print('[client.health.status, process.getActiveResourcesInfo().filter((kind) => /Timeout|Immediate|TCP/.test(kind))]')}`)
    expect(JSON.parse(output)).toEqual(['unknown', []])
    expect(exit).toBe(0)
  })
})
