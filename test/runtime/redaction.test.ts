import { describe, expect, it } from 'vitest'
import { OrchestratorClient } from '../../src/client.ts'
import { findHeaderSecrets, makeRedactor } from '../../src/runtime/redaction.ts'
import { seededRandom } from '../../src/testing/seeded-random.ts'

const random = seededRandom(7)
const visible = (length: number): string => Array.from({ length }, () => String.fromCharCode(0x21 + Math.floor(random() * 94))).join('')
const LONG = visible(8_192)

const SPELLINGS: Readonly<Record<string, (text: string) => string>> = {
  'as it is': (text) => text,
  'percent-escaped': encodeURIComponent,
  'with every character percent-escaped': (text) => Array.from(text, (char) => `%${char.charCodeAt(0).toString(16)}`).join(''),
  'in JSON': (text) => JSON.stringify(text).slice(1, -1),
  'in JSON in JSON': (text) => JSON.stringify(JSON.stringify(text)).slice(3, -3),
  'in JSON in upper-case escapes': (text) =>
    Array.from(text, (c) => `\\u${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`).join(''),
  'in HTML': (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;'),
}

describe('a secret of 8,192 characters', () => {
  it.each(Object.keys(SPELLINGS))('is removed from a text that holds it %s', (form) => {
    const echoed = SPELLINGS[form]?.(LONG) ?? ''
    expect(makeRedactor(LONG)(`a ${echoed} b ${echoed}`)).toBe('a *** b ***')
  })

  it('is removed from a text that ends in the middle of it', () => {
    expect(makeRedactor(LONG)(`bad ${LONG.slice(0, 5_000)}`)).toBe('bad ***')
  })

  it('is removed from a text that also holds another secret with the same first 4,000 characters', () => {
    const other = `${LONG.slice(0, 4_000)}${visible(4_000)}`
    expect(makeRedactor(LONG, other)(`a ${other} b ${LONG} c`)).toBe('a *** b *** c')
  })

  it.each([
    ['apiKey', { apiKey: LONG }],
    ['headers', { headers: { 'x-token': LONG } }],
    ['headers after a scheme', { headers: { authorization: `Basic ${LONG.slice(0, 8_000)}` } }],
  ])('is accepted as %s', async (_, options) => {
    const client = new OrchestratorClient({ baseUrl: 'http://orchestrator.test', ...options })
    expect(client.metrics().requests).toMatchObject({ failed: 0 })
    await client.close()
  })

  it.each([
    ['apiKey', { apiKey: `${LONG}x` }],
    ['apiKey with a space', { apiKey: `${LONG.slice(1)} ` }],
    ['headers', { headers: { 'x-token': `${LONG}x` } }],
    ['another option', { apiKey: LONG, headers: { 'x-token': LONG }, cacheTtlMs: -1 }],
  ])('is not shown in the error of a constructor that rejects %s', (_, options) => {
    const construct = (): unknown => new OrchestratorClient({ baseUrl: 'http://orchestrator.test', ...options })
    expect(construct).toThrow()
    expect(construct).not.toThrow(LONG.slice(100, 120))
  })
})

describe('a secret', () => {
  it.each(['a\\\\b"c', '%2525x', '\\\\\\\\', '&amp;&', 'p+q r/s', 'aaaa', '"quoted"'])('is removed in every spelling: %s', (secret) => {
    for (const form of Object.values(SPELLINGS)) {
      const text = makeRedactor(secret)(`start ${form(secret)} end`)
      expect(text).toBe('start *** end')
    }
  })

  it('is removed as a whole, even if another secret is its beginning', () => {
    expect(makeRedactor('abcdef', 'abcdef-ghi')('x abcdef-ghi abcdef y')).toBe('x *** *** y')
  })

  it('does not change a text that has only the same beginning', () => {
    expect(makeRedactor('orchestrator-key')('http://orchestrator:8000')).toBe('http://orchestrator:8000')
  })

  it('is also the value of each cookie', () => {
    const redact = makeRedactor(...findHeaderSecrets(['session=abc123def; theme=dark; id="x=4711-0815=="'], 'http://orchestrator:8000/'))
    expect(redact('no session abc123def, no id "x=4711-0815==", theme dark')).toBe('no session ***, no id ***, theme dark')
  })

  it('is not a header value that is part of the URL, which errors show', () => {
    expect(findHeaderSecrets(['orchestrator', 'Basic c2VjcmV0'], 'http://orchestrator:8000/')).toEqual(['Basic c2VjcmV0', 'c2VjcmV0'])
  })
})
