import type { Core } from '../core.ts'
import { type FakeRequest, type FakeResponse, jsonResponse } from '../http.ts'
import type { RouteCall, RouteHandler } from '../routing.ts'
import type { Check, ValidationIssue } from './pydantic.ts'

const unprocessable = (issues: readonly ValidationIssue[]): FakeResponse => jsonResponse(422, { detail: issues })

/** 401 without a bearer token (`bearer` in lower case is none), 403 with a wrong one. */
function checkToken(core: Core, request: FakeRequest): FakeResponse | undefined {
  const { apiKey } = core.settings
  if (apiKey === '') return undefined
  const authorization = request.authorization ?? ''
  const hasToken = authorization.startsWith('Bearer ')
  if (hasToken && authorization.slice('Bearer '.length) === apiKey) return undefined
  core.book.counters.unauthorized++
  return jsonResponse(hasToken ? 403 : 401, { detail: hasToken ? 'invalid token' : 'missing bearer token' })
}

/** A write without a body that means anything. */
export function authorized(core: Core, handler: RouteHandler): RouteHandler {
  return (call) => checkToken(core, call.request) ?? handler(call)
}

/** FastAPI reads a body as JSON where the type says so, or where there is no type at all. */
const isJson = (contentType: string | null | undefined): boolean =>
  !contentType || /^\s*application\/(?:[^;\s]+\+)?json\s*(?:;|$)/i.test(contentType)

/**
 * A write with a body. The order is FastAPI's: what is no JSON is told so even without a token, then comes the token, and only
 * then the model.
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

/** Python's decoder tells where it stopped: at the start of something that is no value, or where the text breaks off. */
function invalidJson(raw: string): ValidationIssue {
  const position = /^\s*[[{"]/.test(raw) ? raw.trimEnd().length : raw.length - raw.trimStart().length
  return { type: 'json_invalid', loc: ['body', position], msg: 'JSON decode error', input: {}, ctx: { error: 'Expecting value' } }
}
