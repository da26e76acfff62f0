import * as v from 'valibot'
import type { EndAcknowledgement, ProvisionAcknowledgement, StartAcknowledgement } from '../model/domain.ts'
import { parseNanoseconds } from './nanoseconds.ts'
import { parseDate } from './timestamps.ts'

const IdSchema = v.pipe(v.string(), v.nonEmpty())

/** `POST /events/stream_started`: the stream. */
export const StartAnswerSchema: v.GenericSchema<unknown, StartAcknowledgement> = v.pipe(
  v.object({ id: IdSchema, container_id: v.string(), started_at: v.optional(v.unknown()) }),
  v.transform(({ id, container_id, started_at }) => {
    const startedAt = parseDate(started_at)
    const startedAtNs = parseNanoseconds(started_at)
    return {
      streamId: id,
      containerId: container_id,
      ...(startedAt === undefined ? {} : { startedAt }),
      ...(startedAtNs === undefined ? {} : { startedAtNs }),
    }
  }),
)

/** `POST /events/stream_ended`: whether and which (Python), or merely that it was heard (v1). */
export const EndAnswerSchema: v.GenericSchema<unknown, EndAcknowledgement> = v.union([
  v.pipe(
    v.object({ updated: v.boolean(), stream: v.nullable(v.object({ id: IdSchema })) }),
    v.transform(({ updated, stream }) => ({ applied: updated, ...(stream === null ? {} : { streamId: stream.id }) })),
  ),
  v.pipe(
    v.object({ status: v.literal('ended') }),
    v.transform(() => ({})),
  ),
])

/** `POST /provision/acestream`: the new engine (2025-10), or that there may be one some day (v1, hazard 19). */
export const ProvisionAnswerSchema: v.GenericSchema<unknown, ProvisionAcknowledgement> = v.union([
  v.pipe(
    v.object({ container_id: IdSchema }),
    v.transform(({ container_id }) => ({ containerId: container_id })),
  ),
  v.pipe(
    v.object({ status: v.literal('provisioning') }),
    v.transform(() => ({})),
  ),
])
