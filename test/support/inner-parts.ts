import type { EngineLease, OrchestratorClient } from 'acestream-orchestrator-client'
import { vi } from 'vitest'
import type { AcquireRequest } from '../../src/engines/leases/acquire-request.ts'
import { Allocator } from '../../src/engines/leases/allocator.ts'
import { LeaseRegistry } from '../../src/engines/leases/lease-registry.ts'

/** The allocator inside a client. No caller takes a place in its queue. */
export async function allocatorOf(client: OrchestratorClient): Promise<Allocator> {
  const found: Allocator[] = []
  const spy = vi.spyOn(Allocator.prototype, 'acquireNow').mockImplementation(function (this: Allocator) {
    found.push(this)
    return Promise.resolve({} as EngineLease)
  })
  await client.acquireEngine()
  spy.mockRestore()
  return only(found)
}

/** The lease registry inside a client that has this lease. The lease stays as it is. */
export async function leaseRegistryOf(lease: EngineLease): Promise<LeaseRegistry> {
  const found: LeaseRegistry[] = []
  const spy = vi.spyOn(LeaseRegistry.prototype, 'releaseNow').mockImplementation(function (this: LeaseRegistry) {
    found.push(this)
    return undefined
  })
  await lease.release()
  spy.mockRestore()
  return only(found)
}

/** A caller that accepts any engine, waits 30 s and may request an engine, unless `changes` say otherwise. */
export function requestOf(changes: Partial<AcquireRequest> = {}): AcquireRequest {
  return { exclude: new Set(), mayProvision: true, waitMs: 30_000, signal: undefined, ...changes }
}

function only<T>([first]: readonly T[]): T {
  if (first === undefined) throw new Error('The spied method was not called')
  return first
}
