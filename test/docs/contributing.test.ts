import { expect, it } from 'vitest'
import { read } from './pages.ts'

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
