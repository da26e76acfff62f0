import { describe, expect, it } from 'vitest'
import { CLIENT_OPTIONS, DEFAULTS } from '../../src/options/resolve.ts'
import { codeSpans, filesUnder, read, relativeLinks } from './pages.ts'
import { tablesOf } from './tables.ts'

const readme = read('README.md')

describe('the README', () => {
  it('has at most 150 lines', () => {
    expect(readme.trimEnd().split('\n').length).toBeLessThanOrEqual(150)
  })

  it('says in seven lines what the client guarantees, and each of them leads to the details', () => {
    const [, section = ''] = /## What it guarantees\n([\s\S]*?)\n## /.exec(readme) ?? []
    const lines = section.split('\n').filter((line) => line.startsWith('- '))
    expect(lines.filter((line) => /^- \[.+\]\(docs\/guarantees\.md#.+\).*[.]$/.test(line))).toHaveLength(7)
    expect(section.match(/\[I\d\]/g)?.toSorted()).toEqual(['[I1]', '[I2]', '[I3]', '[I4]', '[I5]', '[I6]', '[I7]', '[I8]'])
  })

  const options = tablesOf(readme).find(({ columns }) => columns[0] === 'option')?.rows ?? []

  it('shows at most eight options, each of which exists', () => {
    const names = options.map(({ option = '' }) => codeSpans(option)[0] ?? '')
    expect(names).toContain('baseUrl')
    expect(names.length).toBeLessThanOrEqual(8)
    expect(names.filter((name) => !(name in CLIENT_OPTIONS))).toEqual([])
  })

  it('shows the default of each of these options whose default is a number', () => {
    const numbers = Object.entries(DEFAULTS).flatMap(([name, value]) => {
      const row = options.find(({ option }) => option === `\`${name}\``)
      return typeof value === 'number' && row !== undefined ? [{ value, shown: row['default'] }] : []
    })
    expect(numbers.length).toBeGreaterThan(0)
    for (const { value, shown } of numbers) expect(shown).toBe(value.toLocaleString('en'))
  })

  it('links to the tables of options, errors, events and metrics, and to every page of docs', () => {
    const anchors = relativeLinks(readme).flatMap(({ path, anchor }) => (path === 'docs/reference.md' ? [anchor] : []))
    expect(anchors).toEqual(expect.arrayContaining([undefined, 'errors', 'events', 'metrics']))
    const linked = new Set(relativeLinks(readme).map(({ path }) => path))
    expect(filesUnder('docs').filter((path) => path.endsWith('.md') && !linked.has(path))).toEqual([])
  })
})
