import { describe, expect, it } from 'vitest'
import { type CodeBlock, docCommentBlocks, fencedBlocks } from './code-blocks.ts'
import { type CompiledBlock, compileBlocks, isCompiled } from './compile-blocks.ts'
import { markdownPages, pagesUnder } from './pages.ts'
import { PREAMBLE } from './preamble.ts'

/** Languages that are not compiled. Any other language is a typing error: without this list, its block would be skipped unnoticed. */
const OTHER_LANGUAGES = ['sh', 'json', 'text', 'diff', 'yaml', 'http', 'mermaid']

const pages = markdownPages()
const blocks = [...pages.flatMap((page) => fencedBlocks(page)), ...pagesUnder('src', /\.ts$/).flatMap((page) => docCommentBlocks(page))]
const code = blocks.filter(isCompiled)
const where = ({ path, line }: CodeBlock): string => `${path}:${line}`

const snippet = (text: string, language = 'ts', ...flags: string[]): CodeBlock => ({
  path: 'broken.md',
  line: 11,
  language,
  flags,
  code: text,
})
const BROKEN: readonly { mistake: string; block: CodeBlock; message: RegExp }[] = [
  {
    mistake: 'uses a class of the library that it does not import',
    block: snippet('new OrchestratorClient({ baseUrl })'),
    message: /^broken\.md:11: Cannot find name 'OrchestratorClient'/,
  },
  {
    mistake: 'misspells an option',
    block: snippet(
      "import { OrchestratorClient } from 'acestream-orchestrator-client'\n\nnew OrchestratorClient({ baseUrl, maxStreams: 2 })",
    ),
    message: /^broken\.md:13: .*'maxStreams' does not exist/,
  },
  {
    mistake: 'imports an entry point that the package does not have',
    block: snippet("import 'acestream-orchestrator-client/postgres'"),
    message: /^broken\.md:11: .*acestream-orchestrator-client\/postgres/,
  },
  {
    mistake: 'imports a file of the repository, which a reader does not have',
    block: snippet("import '../src/index.ts'"),
    message: /^broken\.md:11: imports \.\.\/src\/index\.ts, which a reader does not have$/,
  },
  {
    mistake: 'passes a number as a header',
    block: snippet("response.writeHead(503, { 'retry-after': 5 })"),
    message: /^broken\.md:11: [\s\S]*'number' is not assignable to type 'string'/,
  },
  {
    mistake: 'passes undefined where exactOptionalPropertyTypes forbids it',
    block: snippet('const options: { waitMs?: number } = { waitMs: undefined }\nexport { options }'),
    message: /^broken\.md:11: .*exactOptionalPropertyTypes/,
  },
  { mistake: 'is not valid TypeScript', block: snippet('const = 1'), message: /^broken\.md:11: / },
  {
    mistake: 'is JavaScript with an unknown name',
    block: snippet('acquire()', 'js'),
    message: /^broken\.md:11: Cannot find name 'acquire'/,
  },
  {
    mistake: 'is marked complete and uses a name that it does not declare',
    block: snippet('console.log(baseUrl)', 'ts', 'complete'),
    message: /^broken\.md:11: is marked complete, but does not declare baseUrl$/,
  },
]

let program: CompiledBlock[] | undefined
/** The result for one block. The first call compiles all blocks in one program. */
function compiled(block: CodeBlock): CompiledBlock {
  program ??= compileBlocks([...code, ...BROKEN.map((one) => one.block)])
  const found = program.find((one) => one.block === block)
  if (found === undefined) throw new Error(`${where(block)} was not compiled`)
  return found
}

describe('a code block that a reader copies', () => {
  it.each(code.map((block) => [where(block), block] as const))('compiles under strict settings: %s', (_, block) => {
    expect(compiled(block).errors).toEqual([])
  })

  it.each(BROKEN)('is rejected if it $mistake', ({ block, message }) => {
    expect(compiled(block).errors.join('\n')).toMatch(message)
  })

  it('may use the names of the preamble, and every name of the preamble is used by some block', () => {
    const declared = [...PREAMBLE.matchAll(/^ {2}(?:const|function|class) (\w+)/gm)].map(([, name]) => name)
    const used = new Set(code.flatMap((block) => [...compiled(block).preambleNames]))
    expect(declared.length).toBeGreaterThan(5)
    expect([...used].sort()).toEqual(declared.sort())
  })

  it('names a known language, so that no block is skipped because of a typing error', () => {
    for (const block of blocks) if (!isCompiled(block)) expect(OTHER_LANGUAGES, where(block)).toContain(block.language)
  })

  it('is valid JSON if its language is json', () => {
    const data = [...blocks.filter(({ language }) => language === 'json'), snippet('{}', 'json')]
    for (const block of data) expect(() => JSON.parse(block.code), where(block)).not.toThrow()
  })
})

describe('the search for code blocks', () => {
  it('finds the blocks of the README, of the pages in docs/ and of the doc comments in src/', () => {
    const paths = code.map(({ path }) => path)
    expect(paths).toContain('README.md')
    expect(paths).toContain('docs/stores.md')
    expect(paths).toContain('src/testing/manual-clock.ts')
    const fences = pages.flatMap(({ text }) => text.match(/^[>\s]*(```|~~~)/gm) ?? [])
    expect(blocks.filter(({ path }) => path.endsWith('.md'))).toHaveLength(fences.length / 2)
    const examples = pagesUnder('src', /\.ts$/).flatMap(({ text }) => text.match(/^\s*\* @example\b/gm) ?? [])
    expect(blocks.filter(({ path }) => path.startsWith('src/')).length).toBeGreaterThanOrEqual(examples.length)
  })

  it('finds blocks in lists, in quotes, between tildes and between longer fences', () => {
    const text = [
      '- a list',
      '  ```ts complete',
      '  if (a) {',
      '    b()',
      '  }',
      '  ```',
      '> ~~~js',
      '> quoted()',
      '> ~~~',
      '````md',
      '```ts',
      'a fence in a fence',
      '```',
      '````',
    ].join('\n')
    expect(fencedBlocks({ path: 'page.md', text })).toEqual([
      { path: 'page.md', line: 3, language: 'ts', flags: ['complete'], code: 'if (a) {\n  b()\n}' },
      { path: 'page.md', line: 8, language: 'js', flags: [], code: 'quoted()' },
      { path: 'page.md', line: 11, language: 'md', flags: [], code: '```ts\na fence in a fence\n```' },
    ])
  })

  it('rejects a fence that is never closed', () => {
    expect(() => fencedBlocks({ path: 'page.md', text: 'text\n```ts\ncode()' })).toThrow('page.md:2: the code block is never closed')
  })

  it('finds each @example of a doc comment up to the next tag, with or without a fence', () => {
    const text = [
      'const before = 1',
      '/**',
      ' * Does something.',
      ' *',
      ' * @example',
      ' * first()',
      ' *   .then()',
      ' *',
      ' * @example with a title',
      ' * Text.',
      ' * ```ts',
      ' * second()',
      ' * ```',
      ' * @throws nothing',
      ' */',
      'export function f() {}',
      '  /** @default 1 */',
    ].join('\n')
    expect(docCommentBlocks({ path: 'file.ts', text })).toEqual([
      { path: 'file.ts', line: 12, language: 'ts', flags: [], code: 'second()' },
      { path: 'file.ts', line: 6, language: 'ts', flags: [], code: 'first()\n  .then()' },
    ])
  })
})
