import { describe, expect, it } from 'vitest'
import { JOIN_OPTIONS } from '../../src/options/resolve-playback.ts'
import { codeSpans, read } from './pages.ts'

const PAGE = read('docs/playbacks.md')

/** A bullet of the page, with its further lines. */
function bullet(title: string): string {
  const [, text = ''] = new RegExp(`^- \\*\\*${title}\\*\\*: ([^\\n]*(?:\\n {2}[^\\n]*)*)`, 'm').exec(PAGE) ?? []
  return text
}

describe('the page about playbacks', () => {
  it('shows each state that the code knows of a content, and the two that an open stream can be in besides', () => {
    const code = read('src/playback/shared-streams.ts')
    const known = [...code.matchAll(/readonly kind: '(\w+)'/g)].map(([, kind = '']) => kind)
    const [, diagram = ''] = /```mermaid\nstateDiagram-v2\n([\s\S]*?)```/.exec(PAGE) ?? []
    const shown = [...diagram.matchAll(/(\w+) --> (\w+)/g)].flatMap(([, from = '', to = '']) => [from, to])
    expect(known.length).toBeGreaterThan(3)
    expect([...new Set(shown)].sort()).toEqual([...known, 'broken', 'lingering'].sort())
  })

  it('says of each option of joinStream whether it is shared, the first caller’s, or each caller’s own', () => {
    const shared = codeSpans(bullet('What is shared')).filter((name) => name in JOIN_OPTIONS)
    const callers = codeSpans(bullet('Whose options count'))
    expect([...new Set([...shared, ...callers])].sort()).toEqual(Object.keys(JOIN_OPTIONS).sort())
  })
})
