import { type Attributes, context, diag, ROOT_CONTEXT, type Span, SpanStatusCode, type Tracer, trace } from '@opentelemetry/api'
import type { HostEngine } from '../../model/stream.ts'
import { errorTypeOf, isAbort } from '../error-type.ts'
import type { Operation, OperationObserver, OperationResults } from '../operations.ts'

/** The names of the spans: the calls of the client, and the calls of its handles. */
const SPAN_NAMES: Readonly<Record<Operation['kind'], string>> = {
  acquire: 'acquireEngine',
  open: 'openStream',
  join: 'joinStream',
  start: 'startStream',
  end: 'endStream',
}

/** Makes a span for each operation. It is active while the operation runs, so that the spans of its requests become its children. */
export class OperationSpans implements OperationObserver {
  readonly #tracer: Tracer
  readonly #attributes: Attributes

  constructor(tracer: Tracer, attributes: Attributes) {
    this.#tracer = tracer
    this.#attributes = attributes
  }

  run<T>(operation: Operation, work: () => T): T {
    const attributes = { ...this.#attributes, ...attributesOf(operation) }
    const span = guarded(() => this.#tracer.startSpan(SPAN_NAMES[operation.kind], { attributes }))
    if (span === undefined) return work()
    let result: T
    try {
      result = context.with(trace.setSpan(context.active(), span), work)
    } catch (error) {
      guarded(() => endFailed(span, error))
      throw error
    }
    const onResult = (value: unknown): void => guarded(() => endSucceeded(span, operation.kind, value))
    // Before the caller adds a callback of its own: the span ends before the caller's span may end.
    if (result instanceof Promise) result.then(onResult, (error: unknown) => guarded(() => endFailed(span, error)))
    else onResult(result)
    return result
  }

  detach<T>(work: () => T): T {
    return context.with(ROOT_CONTEXT, work)
  }
}

/** Calls code of the host's tracer. If it throws, viewers must not notice: the error goes to the diagnostics of OpenTelemetry. */
function guarded<T>(call: () => T): T | undefined {
  try {
    return call()
  } catch (error) {
    diag.error('acestream-orchestrator-client: a tracer threw', error)
    return undefined
  }
}

function attributesOf(operation: Operation): Attributes {
  switch (operation.kind) {
    case 'acquire':
      return {}
    case 'open':
    case 'join':
      return contentAttributes(operation)
    case 'start':
      return { 'acestream.stream.id': operation.streamId, ...contentAttributes(operation), ...engineAttributes(operation) }
    case 'end':
      return {
        'acestream.stream.id': operation.streamId,
        ...(operation.reason === undefined ? {} : { 'acestream.end.reason': operation.reason }),
      }
  }
}

/** Length to which a key is cut: a magnet link may have thousands of characters. */
const MAX_KEY = 100

function contentAttributes({ keyType, key }: { readonly keyType: string; readonly key: string }): Attributes {
  return { 'acestream.content.key_type': keyType, 'acestream.content.key': key.slice(0, MAX_KEY) }
}

function engineAttributes({ containerId }: Pick<HostEngine, 'containerId'> | { readonly containerId: string | undefined }): Attributes {
  return containerId === undefined || containerId === '' ? {} : { 'acestream.engine.container_id': containerId }
}

/** How to describe the result of each kind of operation. */
const DESCRIBE: { readonly [Kind in keyof OperationResults]: (result: OperationResults[Kind]) => Attributes } = {
  acquire: ({ engine, isFallback }) => ({ ...engineAttributes(engine), 'acestream.lease.is_fallback': isFallback }),
  open: ({ id, engine, state }) => ({ 'acestream.stream.id': id, 'acestream.stream.state': state, ...engineAttributes(engine) }),
  join: ({ stream, isFirst }) => ({ 'acestream.viewer.is_first': isFirst, ...DESCRIBE.open(stream) }),
  start: ({ id, engine, state }) => ({ 'acestream.stream.id': id, 'acestream.stream.state': state, ...engineAttributes(engine) }),
  end: ({ outcome, attempts }) => ({ 'acestream.end.outcome': outcome, 'acestream.end.attempts': attempts }),
}

function endSucceeded(span: Span, kind: Operation['kind'], result: unknown): void {
  // The end of a stream never rejects: its result has the error.
  const error = kind === 'end' ? (result as OperationResults['end']).error : undefined
  endWith(span, () => {
    const describe = DESCRIBE[kind] as (value: unknown) => Attributes
    span.setAttributes(describe(result))
    if (error !== undefined) describeFailure(span, error)
  })
}

/** Ends the span of an operation that failed. */
function endFailed(span: Span, error: unknown): void {
  endWith(span, () => describeFailure(span, error))
}

/** An operation that its caller aborted is no error. */
function describeFailure(span: Span, error: unknown): void {
  span.setAttribute('error.type', errorTypeOf(error))
  if (isAbort(error)) return
  span.setStatus({ code: SpanStatusCode.ERROR, message: (error as Error).message })
  span.recordException(error as Error)
}

/** Ends a span also if it refuses its description: a span that stays open is never exported. */
function endWith(span: Span, describe: () => void): void {
  try {
    describe()
  } finally {
    span.end()
  }
}
