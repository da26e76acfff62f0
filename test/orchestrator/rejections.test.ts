import { describe, expect, it } from 'vitest'
import { isRejectedByProxy } from '../../src/orchestrator/answers.ts'
import { bodyText, GENERATIONS, rowsOf } from './captured.ts'

const judge = (contentType: string | null, body: string, more: Record<string, string> = {}): boolean =>
  isRejectedByProxy({ headers: new Headers({ ...(contentType === null ? {} : { 'content-type': contentType }), ...more }), body })

describe('a rejection', () => {
  it.each(GENERATIONS)('by a real orchestrator is never taken for that of a proxy: %s', (generation) => {
    const rejections = rowsOf(generation).filter(({ response: { status } }) => status === 401 || status === 403)
    expect(rejections.length).toBeGreaterThan(1)
    for (const row of rejections) {
      const { contentType } = row.response
      const judged = [judge(contentType, bodyText(row)), judge(contentType, bodyText(row), { 'www-authenticate': 'Bearer' })]
      expect([row.name, judged]).toEqual([row.name, [false, false]])
    }
  })

  it.each([
    ['Basic', null, '', 'Basic realm="media"'],
    ['Digest, and a bearer token as the second choice', 'text/plain', 'no', 'Digest realm="a", Bearer'],
    ['Negotiate', 'application/json', '{"error":"unauthorized"}', 'Negotiate'],
    ['a web page', 'text/html; charset=utf-8', '', 'Bearer'],
    ['a web page without a content type', null, '<!doctype html><title>403</title>', 'Bearer'],
  ])('by a proxy is recognised: %s', (_, contentType, body, scheme) => {
    expect(judge(contentType, body, { 'www-authenticate': scheme })).toBe(true)
  })
})
