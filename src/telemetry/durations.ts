import { errorTypeOf, isAbort } from './error-type.ts'
import type { ClientEvents } from './events.ts'
import { listen, type TelemetrySource } from './source.ts'

/** Receives the durations of a client, in seconds. */
export interface DurationRecorder {
  /** @param outcome `acquired`, `aborted`, or the code of an error in lower case */
  acquire(seconds: number, outcome: string): void
  start(seconds: number): void
  request(seconds: number, request: ClientEvents['request:finished']): void
}

const MS_PER_S = 1_000

/** Records the durations of a client. Returns functions that stop it. */
export function recordDurations(source: TelemetrySource, recorder: DurationRecorder): (() => void)[] {
  return [
    listen(source, 'engine:acquired', ({ waitedMs }) => recorder.acquire(waitedMs / MS_PER_S, 'acquired')),
    listen(source, 'engine:refused', ({ waitedMs, error }) =>
      recorder.acquire(waitedMs / MS_PER_S, isAbort(error) ? 'aborted' : errorTypeOf(error).toLowerCase()),
    ),
    listen(source, 'stream:started', ({ durationMs }) => recorder.start(durationMs / MS_PER_S)),
    listen(source, 'request:finished', (request) => recorder.request(request.durationMs / MS_PER_S, request)),
  ]
}
