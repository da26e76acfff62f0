import { afterEach, expect, it, vi } from 'vitest'

afterEach(() => {
  vi.unstubAllGlobals()
  vi.resetModules()
})

it("an import of the package does not load the platform's cryptography, which takes Node.js 10 ms", async () => {
  vi.resetModules()
  const used = vi.fn()
  vi.stubGlobal('crypto', { randomUUID: used, getRandomValues: used })
  const { OrchestratorClient } = await import('../../src/index.ts')
  expect(OrchestratorClient).toBeTypeOf('function')
  expect(used).not.toHaveBeenCalled()
})
