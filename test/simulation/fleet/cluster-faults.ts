import type { Redis } from 'ioredis'
import type { Fault } from './fault.ts'
import { onServer } from './server-faults.ts'
import { STEP_MS } from './settings.ts'
import type { World } from './world.ts'

/**
 * Begins to move the hash slot of the fleet's keys to another node, one key after the other. Until the move ends, no script finds all its
 * keys. Returns a function that ends the move, or `undefined` if the fleet has no keys.
 */
export async function beginMove(world: World, random: () => number): Promise<(() => Promise<void>) | undefined> {
  const [anyKey] = (await Promise.all(world.inspectors.map((inspector) => inspector.keys('*')))).flat()
  if (anyKey === undefined) return undefined
  const slot = await world.inspector.cluster('KEYSLOT', anyKey)
  const nodes = await Promise.all(
    world.inspectors.map(async (inspector) => ({
      inspector,
      id: String(await inspector.cluster('MYID')),
      port: inspector.options.port ?? 0,
    })),
  )
  const counts = await Promise.all(nodes.map(({ inspector }) => inspector.cluster('COUNTKEYSINSLOT', slot)))
  const from = nodes[counts.findIndex((count) => Number(count) > 0)]
  const others = nodes.filter((node) => node !== from)
  const to = others[Math.floor(random() * others.length)]
  if (from === undefined || to === undefined) return undefined
  await to.inspector.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', from.id)
  await from.inspector.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.id)
  const moveOne = async (): Promise<boolean> => {
    const [key] = (await from.inspector.call('CLUSTER', 'GETKEYSINSLOT', slot, 1)) as string[]
    if (key !== undefined) await from.inspector.call('MIGRATE', '127.0.0.1', to.port, key, 0, 5_000)
    return key !== undefined
  }
  await moveOne()
  return async () => {
    while (await moveOne());
    for (const { inspector } of [to, ...nodes.filter((node) => node !== to)])
      await inspector.call('CLUSTER', 'SETSLOT', slot, 'NODE', to.id)
  }
}

const moveSlot = onServer('the hash slot of the fleet moves', 6, async (world, random) => {
  const end = await beginMove(world, random)
  if (end === undefined) return undefined
  world.storeSplit()
  return {
    afterMs: Math.ceil(random() * 10) * STEP_MS,
    end: async () => {
      await end()
      world.storeBack()
    },
  }
})

const onAll = (name: string, weight: number, happen: (world: World, inspector: Redis) => Promise<unknown>): Fault =>
  onServer(name, weight, async (world) => {
    for (const inspector of world.inspectors) await happen(world, inspector)
    return undefined
  })

export const CLUSTER_FAULTS: readonly Fault[] = [
  moveSlot,
  onAll('SCRIPT FLUSH on all nodes', 2, (_, inspector) => inspector.script('FLUSH')),
  onAll('FLUSHALL on all nodes', 1, async (world, inspector) => {
    await inspector.flushall()
    world.truth.lostData()
    world.storeBack()
  }),
]
