import { describe, expect, it } from 'vitest'
import { ROUTES } from '../../src/orchestrator/routes.ts'
import { type Generation, rowsOf } from '../orchestrator/captured.ts'
import { codeSpans, pagesUnder, read } from './pages.ts'

const PAGE = read('docs/protocol.md')
const RECORDINGS: readonly Generation[] = ['python-2025-10', 'python-2026-04', 'go-v1']

/** The cells of each row of the first table below a heading, without the table's header. */
function tableBelow(heading: string): string[][] {
  const section = PAGE.split(/^(?=## )/m).find((text) => text.startsWith(`## ${heading}\n`)) ?? ''
  const [, table = ''] = /\n\|[^\n]*\n\|[-|]+\|\n((?:\|[^\n]*\n)+)/.exec(section) ?? []
  return table
    .trim()
    .split('\n')
    .map((row) => row.split('|').slice(1, -1))
}

/** The names of all fields that the recorded engine lists of a generation contain. */
function recordedEngineFields(generation: Generation): Set<string> {
  const lists = rowsOf(generation).filter(({ request }) => /^(\/api\/v1)?\/engines$/.test(request.path))
  return new Set(
    lists.flatMap(({ response: { body } }) => (Array.isArray(body) ? body.flatMap((engine) => Object.keys(Object(engine))) : [])),
  )
}

describe('the page about the protocol', () => {
  it('lists every request that the client can send, and no other: H22 is not among them', () => {
    const listed = tableBelow('Requests').flatMap(([request = '']) => codeSpans(request))
    expect(listed.toSorted()).toEqual(
      Object.values(ROUTES)
        .map(({ method, path }) => `${method} /${path}`)
        .toSorted(),
    )
    expect(listed.join()).not.toContain('select-engine')
  })

  it('names every JSON name that the client knows', () => {
    const code = pagesUnder('src/orchestrator', /\.ts$/)
      .map(({ text }) => text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, ''))
      .join('\n')
    const names = [...new Set(code.match(/\b[a-z]+(?:_[a-z]+)+\b/g))]
    expect(names.length).toBeGreaterThan(30)
    expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(PAGE))).toEqual([])
  })

  it('says which fields of an engine each generation lists, in agreement with the recordings', () => {
    const rows = tableBelow('Engine list')
    expect(rows.length).toBeGreaterThan(10)
    for (const [column, generation] of RECORDINGS.entries()) {
      const recorded = recordedEngineFields(generation)
      expect(recorded.size, generation).toBeGreaterThan(10)
      for (const [names = '', , ...cells] of rows) {
        const cell = cells[column]?.trim()
        for (const name of codeSpans(names)) {
          expect(recorded.has(name), `${generation}: ${name}`).toBe(cell !== '' && cell !== 'not recorded')
        }
      }
    }
  })
})
