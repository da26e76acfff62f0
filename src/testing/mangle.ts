import type { Fault } from './faults.ts'
import type { FakeResponse } from './http.ts'

const OVERSIZE_BYTES = 16 * 1024 * 1024
const HTML_HEADERS = { 'content-type': 'text/html; charset=utf-8' }
const NO_RESPONSE: FakeResponse = { status: 200, headers: {}, body: '' }

const errorPage = (status: number): string => {
  const title = `${status} Bad Gateway`
  return `<html>\r\n<head><title>${title}</title></head>\r\n<body><center><h1>${title}</h1></center></body>\r\n</html>\r\n`
}

/** Returns the response that the caller sees, changed by the fault. */
export function mangle(fault: Fault, response: FakeResponse = NO_RESPONSE): FakeResponse {
  switch (fault.kind) {
    case 'status':
      return { status: fault.status ?? 503, headers: lowerCase(fault.headers), body: fault.body ?? '' }
    case 'html': {
      const status = fault.status ?? 502
      return { status, headers: { ...HTML_HEADERS, ...lowerCase(fault.headers) }, body: fault.body ?? errorPage(status) }
    }
    case 'redirect': {
      const headers = { location: 'http://elsewhere.invalid/', ...lowerCase(fault.headers) }
      return { status: fault.status ?? 307, headers, body: fault.body ?? '' }
    }
    case 'garbage':
      return withBody(response, fault, fault.body ?? '\u0000\ufffd not json {{')
    case 'truncated':
      return withBody(response, fault, fault.body ?? response.body.slice(0, Math.floor(response.body.length / 2)))
    case 'empty':
      return withBody(response, fault, '')
    case 'oversized':
      // The body is still JSON; only its size is wrong.
      return withBody(response, fault, fault.body ?? `${' '.repeat(OVERSIZE_BYTES)}${response.body}`)
    default:
      return response
  }
}

function withBody(response: FakeResponse, fault: Fault, body: string): FakeResponse {
  return { status: fault.status ?? response.status, headers: { ...response.headers, ...lowerCase(fault.headers) }, body }
}

const lowerCase = (headers: Fault['headers'] = {}): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
