import { createServer } from 'node:http'

/** How the code of a host is written. */
export const STYLES = ['top-level await', 'async main()'] as const

/**
 * The code of a module that never closes its client. Its arguments are the URL and the key of an orchestrator, and a URL that answers once the
 * event stream has been requested.
 */
export function unclosed(style: (typeof STYLES)[number]): string {
  const steps = `
    const [, , baseUrl, apiKey, opened] = process.argv
    const client = new OrchestratorClient({ baseUrl, apiKey })
    const lease = await client.acquireEngine()
    const stream = await lease.startStream({
      keyType: 'infohash',
      key: 'a'.repeat(40),
      session: { playbackSessionId: 's', statUrl: 'http://engine/stat', commandUrl: 'http://engine/cmd' },
    })
    await (await fetch(opened)).text()
    console.log(stream.state)
  `
  const imports = "import process from 'node:process'\nimport { OrchestratorClient } from 'acestream-orchestrator-client'"
  return style === 'top-level await' ? `${imports}\n${steps}` : `${imports}\nasync function main() {\n${steps}\n}\nmain()`
}

/** A server whose URL answers as soon as `isReady()` is true. */
export async function answeringOnce(isReady: () => boolean): Promise<{ url: string } & AsyncDisposable> {
  const server = createServer((_, response) => {
    response.setHeader('connection', 'close')
    const poll = (): void => void (isReady() ? response.end('ready') : setImmediate(poll))
    poll()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('expected a port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  }
}
