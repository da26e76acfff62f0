import type { IncomingMessage } from 'node:http'
import { describe, expect, it } from 'vitest'
import { clientAddress } from '../../examples/proxy/forwarded.ts'
import { RecordingLogger } from '../support/recording-logger.ts'
import { textOf } from './hls-player.ts'
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
  it('a segment has the scheme, the host and the prefix that the viewer uses, whatever the headers are', async () => {
    const { url } = await stage({ proxy: { isProxyTrusted: true } })
    const [path, publicUrl] = ['/ace/manifest.m3u8?id=a', 'https://tv.example:8443/live/ace/manifest.m3u8?id=a']
    for (const headers of [{}, FORWARDED, { ...FORWARDED, host: 'tv.example', 'x-forwarded-prefix': '//evil.example' }]) {
      const text = await textOf(await answerTo(send(url, 'GET', path, headers)))
      const [segment = ''] = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
      expect(new URL(segment, publicUrl).href).toMatch(/^https:\/\/tv\.example:8443\/live\/hls\/[\da-f-]{36}\/[\w-]+\.ts$/)
    }
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
})

describe('without a trusted reverse proxy', () => {
  it('the headers X-Forwarded-* have no effect', () => {
    expect(clientAddress(requestWith(FORWARDED), false)).toBe('10.0.0.1')
  })
})
