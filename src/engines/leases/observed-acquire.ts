import type { EngineLease } from '../../model/lease.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { MaybePromise } from '../../runtime/maybe-promise.ts'
import type { Emitter } from '../../telemetry/events.ts'

/** Calls `acquire` as an operation, and emits `engine:refused` if it fails. Returns what `acquire` returned. */
export function acquireObserved(
  { emitter, clock }: { emitter: Emitter; clock: Clock },
  acquire: () => MaybePromise<EngineLease>,
): MaybePromise<EngineLease> {
  const acquiring = emitter.operations.run({ kind: 'acquire' }, acquire)
  if (!(acquiring instanceof Promise) || !emitter.has('engine:refused')) return acquiring
  const since = clock.now()
  acquiring.catch((error: unknown) => emitter.to('engine:refused')?.({ waitedMs: clock.now() - since, error }))
  return acquiring
}
