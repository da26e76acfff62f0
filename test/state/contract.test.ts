import { MemoryStore } from 'acestream-orchestrator-client'
import { describeStateStore } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { laterStore } from '../support/later-store.ts'

const declare = (name: string, run: () => Promise<void>) => it(name, () => expect(run()).resolves.toBeUndefined())

describeStateStore(() => new MemoryStore(), { name: 'the memory store', describe, it: declare })
describeStateStore(() => laterStore(), { name: 'a store that answers asynchronously', describe, it: declare })
