import type { IncomingMessage } from 'node:http'
import { describe, expect, it } from 'vitest'
import { clientAddress, publicOrigin, publicPrefix } from '../../examples/proxy/forwarded.ts'
import { RecordingLogger } from '../support/recording-logger.ts'
import { answerTo, send } from './player.ts'
import { eventually, stage } from './stage.ts'

const FORWARDED = {
  'x-forwarded-for': '6.6.6.6, 203.0.113.7',
  'x-forwarded-host': 'tv.example:8443',
  'x-forwarded-proto': 'https',
  'x-forwarded-prefix': '/live/',
}

/** A request with these headers, over a connection from 10.0.0.1. */
function requestWith(headers: Record<string, string>): IncomingMessage {
  return { headers, socket: { remoteAddress: '10.0.0.1' } } as unknown as IncomingMessage
}

describe('behind a trusted reverse proxy', () => {
  it('a URL in a playlist has the scheme, the host and the prefix that the viewer uses', () => {
    const request = requestWith({ host: 'internal:8080', ...FORWARDED })
    expect(publicOrigin(request, true) + publicPrefix(request, true)).toBe('https://tv.example:8443/live')
  })

  it('the viewer has the address that the reverse proxy added, not one that the viewer invented', () => {
    expect(clientAddress(requestWith(FORWARDED), true)).toBe('203.0.113.7')
    expect(clientAddress(requestWith({ 'x-forwarded-for': '[2001:db8::7]:4711' }), true)).toBe('[2001:db8::7]:4711')
    for (const wrong of [' ', 'unknown host', '"', '1'.repeat(65)]) {
      expect(clientAddress(requestWith({ 'x-forwarded-for': wrong }), true)).toBe('10.0.0.1')
    }
  })

  it('the log has the address of the viewer', async () => {
    const log = new RecordingLogger()
    const { url } = await stage({ proxy: { log, isProxyTrusted: true } })
    await answerTo(send(url, 'GET', '/unknown', FORWARDED))
    await eventually(() => expect(log.all).toMatchObject([{ message: 'request', fields: { client: '203.0.113.7', status: 404 } }]))
  })

  it.each([
    ['x-forwarded-host', 'tv.example/evil'],
    ['x-forwarded-host', 'user@tv.example'],
    ['x-forwarded-host', 'tv.example\n#EXTM3U'],
    ['x-forwarded-proto', 'javascript'],
    ['x-forwarded-prefix', '//evil.example'],
    ['x-forwarded-prefix', 'live'],
    ['x-forwarded-prefix', '/a b'],
  ])('a header %s of %j is ignored', (name, value) => {
    const request = requestWith({ host: 'internal:8080', [name]: value })
    expect(publicOrigin(request, true) + publicPrefix(request, true)).toBe('http://internal:8080')
  })
})

describe('without a trusted reverse proxy', () => {
  it('the headers X-Forwarded-* have no effect', () => {
    const request = requestWith({ host: '[::1]:8080', ...FORWARDED })
    expect(publicOrigin(request, false) + publicPrefix(request, false)).toBe('http://[::1]:8080')
    expect(clientAddress(request, false)).toBe('10.0.0.1')
  })

  it('a host that is none is not used in URLs', () => {
    expect(publicOrigin(requestWith({ host: 'a"onload=' }), false)).toBe('http://localhost')
    expect(publicOrigin(requestWith({}), false)).toBe('http://localhost')
  })
})
