import type { Page } from './pages.ts'

/** A block of code that a reader may copy. */
export interface CodeBlock {
  /** The file that contains the block, relative to the repository. */
  readonly path: string
  /** The line number of its first line of code, counted from 1. */
  readonly line: number
  /** The first word after the fence, or an empty text. `ts` for an `@example` without a fence. */
  readonly language: string
  /** The other words after the fence. */
  readonly flags: readonly string[]
  readonly code: string
}

const FENCE = /^([>\s]*)(`{3,}|~{3,})\s*([^`]*)$/

/** All fenced blocks of a Markdown text. `firstLine` is the line at which the text begins in its file. Throws if a fence is never closed. */
export function fencedBlocks({ path, text }: Page, firstLine = 1): CodeBlock[] {
  const lines = text.split('\n')
  const blocks: CodeBlock[] = []
  for (let at = 0; at < lines.length; at += 1) {
    const [, indent = '', fence = '', info = ''] = FENCE.exec(lines[at] ?? '') ?? []
    if (fence === '') continue
    const start = at + 1
    const end = lines.findIndex((line, index) => index >= start && closes(line, fence))
    if (end === -1) throw new Error(`${path}:${firstLine + at}: the code block is never closed`)
    const [language = '', ...flags] = info.trim().split(/\s+/)
    const code = lines.slice(start, end).map((line) => (/^[>\s]*$/.test(line.slice(0, indent.length)) ? line.slice(indent.length) : line))
    blocks.push({ path, line: firstLine + start, language, flags, code: code.join('\n') })
    at = end
  }
  return blocks
}

function closes(line: string, fence: string): boolean {
  const bare = line.replace(/^[>\s]*/, '').trimEnd()
  return bare.length >= fence.length && bare === bare.charAt(0).repeat(bare.length) && bare.startsWith(fence.charAt(0))
}

/** All code in the doc comments of a TypeScript file: fenced blocks, and each `@example` without a fence as a whole. */
export function docCommentBlocks({ path, text }: Page): CodeBlock[] {
  return [...text.matchAll(/^[ \t]*\/\*\*[\s\S]*?\*\//gm)].flatMap((comment) => {
    const firstLine = text.slice(0, comment.index).split('\n').length
    const lines = comment[0].split('\n').map((line) =>
      line
        .replace(/^\s*\/?\*+ ?/, '')
        .replace(/\s*\*\/\s*$/, '')
        .replace(/^\/$/, ''),
    )
    return [...fencedBlocks({ path, text: lines.join('\n') }, firstLine), ...unfencedExamples(path, lines, firstLine)]
  })
}

function unfencedExamples(path: string, lines: readonly string[], firstLine: number): CodeBlock[] {
  return lines.flatMap((line, at) => {
    if (!/^@example\b/.test(line)) return []
    const start = at + 1
    const next = lines.findIndex((other, index) => index >= start && /^@\w/.test(other))
    const code = lines.slice(start, next === -1 ? undefined : next)
    if (code.some((other) => FENCE.test(other))) return []
    return [{ path, line: firstLine + start, language: 'ts', flags: [], code: code.join('\n').trimEnd() }]
  })
}
