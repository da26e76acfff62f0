import { expect, it } from 'vitest'
import { read } from './pages.ts'

const LONGEST = 140

it('the changelog has one short line for each effect', () => {
  const [, ...releases] = read('CHANGELOG.md').split(/^## /m)
  const lines = releases.flatMap((release) => release.split('\n'))
  const entries = lines.filter((line) => line.startsWith('- '))
  expect(entries.length).toBeGreaterThan(50)
  expect(entries.filter((line) => line.length > LONGEST)).toEqual([])
  expect(lines.filter((line) => /^\s+\S/.test(line))).toEqual([])
  expect(new Set(entries).size).toBe(entries.length)
})
