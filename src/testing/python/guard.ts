import type { Core } from '../core.ts'
import { type FakeRequest, type FakeResponse, jsonResponse } from '../http.ts'
import type { RouteCall, RouteHandler } from '../routing.ts'
import type { Check, ValidationIssue } from './pydantic.ts'

const unprocessable = (issues: readonly ValidationIssue[]): FakeResponse => jsonResponse(422, { detail: issues })

/** Checks the bearer token: returns 401 if it is missing, 403 if it is wrong. The scheme `bearer` in lower case counts as missing. */
function checkToken(core: Core, request: FakeRequest): FakeResponse | undefined {
  const { apiKey } = core.settings
  if (apiKey === '') return undefined
  const authorization = request.authorization ?? ''
  const hasToken = authorization.startsWith('Bearer ')
  if (hasToken && authorization.slice('Bearer '.length) === apiKey) return undefined
  core.records.counters.unauthorized++
  return jsonResponse(hasToken ? 403 : 401, { detail: hasToken ? 'invalid token' : 'missing bearer token' })
}

/** Wraps a handler that needs the token and ignores the body. */
export function authorized(core: Core, handler: RouteHandler): RouteHandler {
  return (call) => checkToken(core, call.request) ?? handler(call)
}

/** FastAPI parses a body as JSON if the content type says so, or if there is none. */
const isJson = (contentType: string | null | undefined): boolean =>
  !contentType || /^\s*application\/(?:[^;\s]+\+)?json\s*(?:;|$)/i.test(contentType)

/**
 * Wraps a handler that needs the token and a valid body. The order is FastAPI's: first the JSON syntax, even without a token, then the
 * token, then the schema.
 */
export function authorizedBody<T>(
  core: Core,
  check: Check<T>,
  handle: (body: T, call: RouteCall) => ReturnType<RouteHandler>,
): RouteHandler {
  return (call) => {
    const { body: raw, contentType } = call.request
    let body: unknown = null
    if (raw) {
      if (isJson(contentType)) {
        try {
          body = JSON.parse(raw)
        } catch {
          return unprocessable([invalidJson(raw)])
        }
      } else {
        body = raw
      }
    }
    const refusal = checkToken(core, call.request)
    if (refusal !== undefined) return refusal
    if (body === null) return unprocessable([{ type: 'missing', loc: ['body'], msg: 'Field required', input: null }])
    const issues: ValidationIssue[] = []
    const checked = check(body, ['body'], issues)
    return issues.length > 0 ? unprocessable(issues) : handle(checked, call)
  }
}

/** Creates the error of Python's JSON decoder, with the position at which it stopped: at an invalid value, or at the end of the text. */
function invalidJson(raw: string): ValidationIssue {
  const position = /^\s*[[{"]/.test(raw) ? raw.trimEnd().length : raw.length - raw.trimStart().length
  return { type: 'json_invalid', loc: ['body', position], msg: 'JSON decode error', input: {}, ctx: { error: 'Expecting value' } }
}
