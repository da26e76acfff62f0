import { expect, it } from 'vitest'
import { pagesUnder, read } from './pages.ts'

it('CONTRIBUTING names the quick and the deep tests, and .ci/run runs both', () => {
  const page = read('CONTRIBUTING.md')
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const inCi = read('.ci/run')
  for (const [command, script] of [
    ['npm test', 'test'],
    ['npm run test:deep', 'test:deep'],
  ] as const) {
    expect(page).toContain(command)
    expect(inCi).toContain(command)
    expect(scripts).toHaveProperty(script)
  }
  expect(page).toContain('`*.deep.test.ts`')
})

it('no file of the client is longer than CONTRIBUTING allows', () => {
  const [, limit] = /A file has at most (\d+) lines/.exec(read('CONTRIBUTING.md')) ?? []
  expect(Number(limit)).toBeGreaterThan(0)
  const files = pagesUnder('src', /\.ts$/)
  expect(files.map(({ path }) => path)).toContain('src/client.ts')
  const tooLong = files
    .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
    .filter(({ lines }) => lines > Number(limit))
    .map(({ path, lines }) => `${path} has ${lines} lines`)
  expect(tooLong).toEqual([])
})
