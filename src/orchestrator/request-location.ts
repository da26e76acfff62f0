import type { OrchestratorError } from '../errors.ts'
import { setErrorField } from '../runtime/error-fields.ts'
import type { Redact } from '../runtime/redaction.ts'
import type { Dialect } from './routes.ts'

/** Where a request goes, as errors and log lines show it: without credentials, secrets and query. */
export interface RequestLocation {
  readonly url: string
  /** `undefined` while it is not known. */
  readonly dialect: Dialect | undefined
  /** `GET http://orchestrator:8000/engines (unversioned)`: the beginning of each message about the request. */
  readonly label: string
}

/** The location of a request to this URL. */
export function locationOf(method: string, { origin, pathname }: URL, dialect: Dialect | undefined, redact: Redact): RequestLocation {
  const url = redact(`${origin}${pathname}`)
  return { url, dialect, label: `${method} ${url}${dialect === undefined ? '' : ` (${dialect})`}` }
}

/** Returns the base URL by which a store identifies an orchestrator: without credentials, secrets, query and trailing slashes. */
export function orchestratorUrl({ origin, pathname }: URL, redact: Redact): string {
  return redact(`${origin}${pathname.replace(/\/+$/, '')}`)
}

/**
 * Adds a location to an error and to its causes: the fields `url` and `dialect`, and the label at the beginning of the message. An error that
 * has a `url` stays as it is. A `CapacityError` keeps its message, which the host shows to users; its cause gets the label.
 */
export function addLocation<Failure extends OrchestratorError>(error: Failure, { url, dialect, label }: RequestLocation): Failure {
  for (let link: unknown = error; link instanceof Object && lacksLocation(link); link = link.cause) {
    setErrorField(link, 'url', url, true)
    if (dialect !== undefined) setErrorField(link, 'dialect', dialect, true)
    if (link.code === 'CAPACITY') continue
    const { message, stack } = link
    if (message.startsWith(label)) continue
    // A transport knows the method and the URL, but not the dialect.
    const labelOfTransport = dialect === undefined ? label : label.slice(0, -` (${dialect})`.length)
    const isLabelled = message.startsWith(`${labelOfTransport}:`)
    const located = isLabelled ? `${label}${message.slice(labelOfTransport.length)}` : `${label}: ${message}`
    setErrorField(link, 'message', located)
    // A function, since `$` has a meaning in a replacement text.
    const inStack = (): string => located
    if (typeof stack === 'string') setErrorField(link, 'stack', stack.replace(message, inStack))
  }
  return error
}

/** Recognises errors of a second copy of the package too. */
function lacksLocation(error: object): error is OrchestratorError {
  return 'retryable' in error && 'code' in error && 'message' in error && Reflect.get(error, 'url') === undefined
}
