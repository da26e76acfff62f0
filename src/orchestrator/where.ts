import type { OrchestratorError } from '../errors.ts'
import { replace } from '../runtime/connection-failure.ts'
import type { Redact } from '../runtime/redaction.ts'
import type { Dialect } from './dialects.ts'

/** Where a request goes, as errors and log lines say it: without credentials, and without the query. */
export interface Where {
  readonly url: string
  /** `undefined` while it is not known. */
  readonly dialect: Dialect | undefined
  /** `GET http://orchestrator:8000/engines (unversioned)`: a message begins with it. */
  readonly label: string
}

/** Identifies an orchestrator by its base URL: origin and path, without trailing slash and secrets. */
export function orchestratorAt({ origin, pathname }: URL, redact: Redact): string {
  return redact(`${origin}${pathname.replace(/\/+$/, '')}`)
}

/** Where a request goes. */
export function whereOf(method: string, { origin, pathname }: URL, dialect: Dialect | undefined, redact: Redact): Where {
  const url = redact(`${origin}${pathname}`)
  return { url, dialect, label: `${method} ${url}${dialect === undefined ? '' : ` (${dialect})`}` }
}

/**
 * Makes any error say where its request went: its fields `url` and `dialect`, and the beginning of its message. A
 * `CapacityError` keeps its message, which is for the host; its cause says where.
 */
export function locate<Failure extends OrchestratorError>(error: Failure, { url, dialect, label }: Where): Failure {
  for (let link: unknown = error; link instanceof Object && isUnlocated(link); link = link.cause) {
    replace(link, 'url', url, true)
    if (dialect !== undefined) replace(link, 'dialect', dialect, true)
    if (link.code === 'CAPACITY') continue
    const { message, stack } = link
    const bare = dialect === undefined ? label : label.slice(0, -` (${dialect})`.length)
    if (message.startsWith(label)) continue
    const located = message.startsWith(`${bare}:`) ? `${label}${message.slice(bare.length)}` : `${label}: ${message}`
    replace(link, 'message', located)
    if (typeof stack === 'string')
      replace(
        link,
        'stack',
        stack.replace(message, () => located),
      )
  }
  return error
}

function isUnlocated(error: object): error is OrchestratorError {
  return 'retryable' in error && 'code' in error && 'message' in error && Reflect.get(error, 'url') === undefined
}

const HTML = /^\s*(?:<!--[\s\S]{0,1000}?-->\s*)*<(?:!doctype\s+html|html|head|body)\b/i

/** What an HTML page in place of an answer of the orchestrator most likely means; `undefined` for anything but HTML. */
export function htmlHint(body: string, { url }: Where): string | undefined {
  return HTML.test(body) ? `HTML: ${elsewhereHint(url)}` : undefined
}

/** What an answer means that no orchestrator gives. */
export function elsewhereHint(url: string): string {
  return `a login page or another service answers at ${URL.parse(url)?.origin ?? url}; check baseUrl`
}
