import { describeStateStore } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { copyAsIs, newPath, open } from './files.ts'

const declare = (name: string, run: () => Promise<void>) => it(name, () => expect(run()).resolves.toBeUndefined())

function onFile() {
  let path = newPath()
  const crash = () => {
    path = copyAsIs(path)
    return open(path)
  }
  return { store: open(path), crash }
}

describeStateStore(onFile, { name: 'the SQLite store', describe, it: declare, durable: true })
describeStateStore(() => open(':memory:'), { name: 'the SQLite store without a file', describe, it: declare })
