import { posix } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ARROWS, FILES } from '../../lint/rooms.mjs'
import { codeSpans, filesUnder, pagesUnder, read } from './pages.ts'
import { testTitles } from './test-titles.ts'

const PAGE = read('ARCHITECTURE.md')
const sources = pagesUnder('src', /\.ts$/).filter(({ path }) => !path.startsWith('src/testing/'))
const arrows: Readonly<Record<string, readonly string[]>> = ARROWS
const files: Readonly<Record<string, string>> = FILES

/** The room of a source file; `undefined`: none has it. */
function roomOf(path: string): string | undefined {
  const [, folder] = /^src\/([\w-]+)\//.exec(path) ?? []
  if (folder !== undefined) return folder
  return Object.keys(files).find((room) => new RegExp(`^src/(?:${files[room]})\\.ts$`).test(path))
}

/** All imports of other rooms, type imports included, as `room -> room`. */
function importedRooms(): Set<string> {
  const found = new Set<string>()
  for (const { path, text } of sources) {
    for (const [, target = ''] of text.matchAll(/(?:^|\n)(?:import|export)\b[^']*? from '(\.{1,2}\/[^']+)'/g)) {
      const [from, to] = [roomOf(path), roomOf(posix.join(posix.dirname(path), target))]
      if (from !== to) found.add(`${from} -> ${to}`)
    }
  }
  return found
}

/** Each arrow of a diagram as `room -> room`. */
function diagramArrows(): Set<string> {
  const [, diagram = ''] = /```mermaid\nflowchart TD\n([\s\S]*?)```/.exec(PAGE) ?? []
  const lines = [...diagram.matchAll(/^ {2}(\w+) --> (\w+(?: & \w+)*)$/gm)]
  return new Set(lines.flatMap(([, from, to = '']) => to.split(' & ').map((room) => `${from} -> ${room}`)))
}

const allowed = new Set(Object.entries(arrows).flatMap(([from, to]) => to.map((room) => `${from} -> ${room}`)))
const sorted = (set: ReadonlySet<string>): string[] => [...set].sort()

describe('the rooms in ARCHITECTURE.md', () => {
  it('have the arrows that the check of the arrows allows', () => {
    expect(sorted(diagramArrows())).toEqual(sorted(allowed))
  })

  it('have an arrow for each import of the code, and no arrow that no import uses', () => {
    expect(sorted(importedRooms())).toEqual(sorted(allowed))
  })

  it('include the test kit, which imports only the runtime, the ports of the state and the errors', () => {
    const imported = pagesUnder('src/testing', /\.ts$/).flatMap(({ path, text }) =>
      [...text.matchAll(/ from '(\.{1,2}\/[^']+)'/g)].map(([, target = '']) => posix.join(posix.dirname(path), target)),
    )
    const others = new Set(imported.filter((path) => !path.startsWith('src/testing/')).map((path) => roomOf(path)))
    expect([...others].sort()).toEqual(['errors', 'runtime', 'state'])
  })

  it('form no circle', () => {
    const below = new Set<string>()
    for (const [room, mayImport] of Object.entries(arrows).reverse()) {
      expect(mayImport.filter((other) => !below.has(other))).toEqual([])
      below.add(room)
    }
  })

  it('are all the folders and files of the sources', () => {
    expect(sources.filter(({ path }) => roomOf(path) === undefined).map(({ path }) => path)).toEqual([])
    const named = new Set(codeSpans(PAGE).map((code) => `src/${code}`))
    const folders = new Set(filesUnder('src').map((path) => `${posix.dirname(path)}/`))
    const inTable = [...folders].filter(
      (folder) => folder !== 'src/' && folder.split('/').length < (folder.startsWith('src/testing/') ? 4 : 5),
    )
    expect(inTable.filter((folder) => !named.has(folder))).toEqual([])
  })
})

describe('the invariants in ARCHITECTURE.md', () => {
  const rows = [...PAGE.matchAll(/^\| `\[(I\d)\]` \|.*\| (.+) \|$/gm)].map(([, invariant = '', guards = '']) => ({
    invariant,
    guards: codeSpans(guards),
  }))

  it('are I1 to I8', () => {
    expect(rows.map(({ invariant }) => invariant)).toEqual(['I1', 'I2', 'I3', 'I4', 'I5', 'I6', 'I7', 'I8'])
  })

  it.each(rows)('name test files that guard $invariant', ({ invariant, guards }) => {
    expect(guards.length).toBeGreaterThan(0)
    const without = guards.filter((path) => !testTitles({ path, text: read(path) }).some((title) => title.includes(`[${invariant}]`)))
    expect(without).toEqual([])
  })

  it('are all that any file cites', () => {
    const known = new Set(rows.map(({ invariant }) => invariant))
    const cited = pagesUnder('', /\.(?:[cm]?[jt]s|md)$/).flatMap(({ text }) =>
      [...text.matchAll(/\[(I\d+)\]/g)].map(([, invariant = '']) => invariant),
    )
    expect(cited.length).toBeGreaterThan(100)
    expect([...new Set(cited)].filter((invariant) => !known.has(invariant))).toEqual([])
  })
})

describe('the rules in ARCHITECTURE.md', () => {
  const [, section = ''] = /## Where a rule stands\n([\s\S]*?)\n## /.exec(PAGE) ?? []
  const rows = [...section.matchAll(/^\| ([^|]+) \| (`src[^|]+) \| ([^|]+) \|$/gm)].map(([, rule = '', where = '', names = '']) => ({
    rule,
    places: codeSpans(where).map((path, index) => ({ path, name: codeSpans(names)[index] ?? '' })),
  }))

  it('are at least the eight that people ask for first', () => {
    expect(rows.length).toBeGreaterThan(8)
  })

  it.each(rows)('stand where the page says: $rule', ({ places }) => {
    for (const { path, name } of places) expect(read(path), path).toMatch(new RegExp(`(?<![.\\w])${name}\\b`))
  })
})
