import { setTimeout as sleep } from 'node:timers/promises'
import { type RedisClient, RedisStore } from 'acestream-orchestrator-client/redis'

const SLOT_TTL_MS = 60

/** Waits until a Redis that is used for the first time grants slots to this fleet. Uses the system's clock. */
export async function untilSlotsAreGranted(client: RedisClient, name?: string): Promise<void> {
  await using opener = new RedisStore({ client, name, slotTtlMs: SLOT_TTL_MS })
  const probe = { leaseId: 'probe', candidates: [{ containerId: '(none)', reportedStreamIds: [] }], limit: 1, now: 0, expiresAt: 1 }
  while ((await opener.take(probe).catch(() => undefined)) === undefined) {
    await opener.renew()
    await sleep(SLOT_TTL_MS / 4)
  }
}
