/**
 * `npm run test:runtimes` runs the built package on all runtimes that it supports, and on some that are too old. `-- node-22 bun` picks
 * runtimes. `current` is the Node that runs this file: with another Node than that of the development dependencies, run
 * `node test/runtimes/main.ts current`.
 */
import { startVitest } from 'vitest/node'
import { NAMES, VARIABLE } from './names.ts'

const names = process.argv.slice(2)
const unknown = names.filter((name) => !NAMES.includes(name))
if (unknown.length > 0) {
  console.error(`There is no runtime ${unknown.join(', ')} here. Choose among: ${NAMES.join(', ')}`)
  process.exitCode = 2
} else {
  // The workers of the test runner inherit it.
  process.env[VARIABLE] = names.join(',')
  const vitest = await startVitest('test', ['test/runtimes/runtimes.deep.test.ts'], {
    run: true,
    project: ['deep'],
    reporters: ['verbose'],
  })
  await vitest.close()
}
