import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const VITEST = join(ROOT, 'node_modules/vitest/vitest.mjs')

/** The test files of a project, as listed on a machine that has Node and no other program. */
function testFilesWithoutServers(project: string): string[] {
  const home = mkdtempSync(join(tmpdir(), 'bare-machine-'))
  onTestFinished(() => rmSync(home, { recursive: true }))
  const env = { PATH: dirname(process.execPath), HOME: home, CI: 'true' }
  const { status, stdout, stderr } = spawnSync(process.execPath, [VITEST, 'list', '--filesOnly', '--json', '--project', project], {
    cwd: ROOT,
    env,
    encoding: 'utf8',
  })
  expect(status, stderr).toBe(0)
  const files = JSON.parse(stdout.slice(stdout.indexOf('['))) as { file: string }[]
  return files.map(({ file }) => file.slice(ROOT.length))
}

describe('on a machine without redis-server, with CI=true', () => {
  it('npm test finds its tests, and none of them needs Redis', () => {
    const files = testFilesWithoutServers('quick')
    expect(files).toContain('test/docs/any-machine.test.ts')
    expect(files.filter((file) => file.startsWith('test/state/redis/'))).toEqual([])
  })

  it('npm run test:deep lists the Redis tests and the test whose failure says what to install', () => {
    expect(testFilesWithoutServers('deep')).toContain('test/state/redis/installed.deep.test.ts')
  })
})
