import { spawnSync } from 'node:child_process'
import { appendFileSync, cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ROOT } from './pages.ts'

let copy: string

beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), 'arrows-'))
  for (const path of ['lint', 'package.json', 'tsconfig.json', 'tsconfig.src.json'])
    cpSync(join(ROOT, path), join(copy, path), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
})
afterAll(() => rmSync(copy, { recursive: true, force: true }))

/** Runs the check of the arrows on the sources with one more import. */
function checkWith(file: string, planted: string): { status: number | null; stdout: string } {
  rmSync(join(copy, 'src'), { recursive: true, force: true })
  cpSync(join(ROOT, 'src'), join(copy, 'src'), { recursive: true })
  appendFileSync(join(copy, 'src', file), planted)
  const program = join(ROOT, 'node_modules/dependency-cruiser/bin/dependency-cruiser.mjs')
  return spawnSync(process.execPath, [program, '--config', 'lint/architecture.mjs', 'src'], { cwd: copy, encoding: 'utf8' })
}

it('the check of the arrows passes on the sources', () => {
  expect(checkWith('index.ts', '')).toMatchObject({ status: 0, stdout: expect.stringContaining('no dependency violations found') })
})

it.each([
  [
    'an import of a room above',
    'engines/list/engine-list.ts',
    "import type { StreamRegistry } from '../../streams/registry.ts'\n",
    'arrows-of-engines',
  ],
  [
    'a type import of a room without an arrow',
    'model/engine.ts',
    "export type { StateStore } from '../state/store.ts'\n",
    'arrows-of-model',
  ],
  ['a circle of two files', 'runtime/abort.ts', "export type { RetryParts } from './retry.ts'\n", 'no-circle'],
  [
    'an import of the optional pushes',
    'engines/list/engine-list.ts',
    "export type { PushOrder } from '../pushes/push-order.ts'\n",
    'never-1',
  ],
  ['an import of the Redis store', 'wiring.ts', "export type { RedisStore } from './state/redis/redis-store.ts'\n", 'never-2'],
])('the check of the arrows finds %s', (_, file, planted, rule) => {
  const { status, stdout } = checkWith(file, planted)
  expect(stdout).toMatch(new RegExp(`error ${rule}: src/${file}`))
  expect(status).toBeGreaterThan(0)
})
