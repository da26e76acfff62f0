import { posix } from 'node:path'
import { describe, expect, it } from 'vitest'
import { fencedBlocks } from './code-blocks.ts'
import { anchors, codeSpans, filesUnder, markdownPages, type Page, pagesUnder, read, relativeLinks } from './pages.ts'

const pages = markdownPages()
const files = filesUnder('')
const eachPage = pages.map((page) => [page.path, page] as const)
const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
const SOURCE_FILE = /\.(?:ts|mts|mjs|js|md|jsonl|json|grit|sh)$/
const TOP_DIRECTORIES = new Set([...files.filter((path) => path.includes('/')).map((path) => path.split('/')[0]), '.ci'])

/** Links of `page` whose file or heading does not exist. */
function brokenLinks({ path, text }: Page): string[] {
  return relativeLinks(text)
    .filter((link) => {
      const target = posix.join(posix.dirname(path), link.path)
      if (link.path !== '' && !files.includes(target)) return true
      return link.anchor !== undefined && !anchors(link.path === '' ? text : read(target)).includes(link.anchor)
    })
    .map((link) => `${link.path}${link.anchor === undefined ? '' : `#${link.anchor}`}`)
}

/** Files and directories that `page` names as code and that do not exist. A path may be relative to any directory of the repository. */
function missingFiles({ text }: Page): string[] {
  const commands = fencedBlocks({ path: '', text }).filter(({ language }) => language === 'sh')
  const words = [...codeSpans(text), ...commands.flatMap(({ code }) => code.split('\n').map((line) => line.replace(/(^|\s)#.*/, '')))]
  return words
    .flatMap((word) => word.split(/[\s=]+/))
    .map((word) => word.replace(/^\.\//, '').replace(/\/$/, ''))
    .filter((word) => /^[\w.-]+(\/[\w.*-]+)*$/.test(word))
    .filter((word) => SOURCE_FILE.test(word) || (word.includes('/') && TOP_DIRECTORIES.has(word.split('/')[0])))
    .filter((word) => !exists(word))
}

function exists(path: string): boolean {
  if (path.startsWith('.ci/')) return filesUnder('.ci').includes(path)
  const pattern = new RegExp(`(^|/)${path.replaceAll('.', '\\.').replaceAll('*', '[^/]*')}(/|$)`)
  return files.some((file) => pattern.test(file))
}

/** Commands of npm in `page` that fail: the script does not exist, or its program does not know the option. */
function brokenCommands({ text }: Page): string[] {
  return [...text.matchAll(/\bnpm (?:run(?: -s)? ([\w:-]+)|(test|start)\b)( -- [^\n`#]*)?/g)]
    .filter(([, script, lifecycle, rest = '']) => {
      const name = script ?? lifecycle ?? ''
      const command = scripts[name]
      if (command === undefined) return true
      const [, program] = /\bnode (\S+)\//.exec(command) ?? []
      const options = rest.match(/--[a-z][\w-]*/g) ?? []
      return program !== undefined && !options.every((option) => pagesUnder(program, /\.ts$/).some((file) => file.text.includes(option)))
    })
    .map(([command]) => command.trim())
}

const variables = (text: string): string[] => [...new Set(text.match(/\bACEXY_[A-Z\d_]*[A-Z\d]/g))].sort()
const hostCode = [read('src/options/environment.ts'), ...pagesUnder('examples/proxy', /\.ts$/).map(({ text }) => text)].join('\n')

describe('a page of the repository', () => {
  it.each(eachPage)('links only to files and headings that exist: %s', (_, page) => {
    expect(brokenLinks(page)).toEqual([])
  })

  it.each(eachPage)('names only files that exist: %s', (_, page) => {
    expect(missingFiles(page)).toEqual([])
  })

  it.each([...pages.map(({ path }) => path), '.ci/run', 'package.json'])('shows only commands and options that exist: %s', (path) => {
    expect(brokenCommands({ path, text: read(path) })).toEqual([])
  })

  it.each(eachPage)('names only environment variables that the code reads: %s', (_, { text }) => {
    expect(variables(text).filter((name) => !hostCode.includes(`${name}`))).toEqual([])
  })

  it('describes every environment variable of the reference proxy', () => {
    const described = variables(read('examples/proxy/README.md'))
    expect(described.length).toBeGreaterThan(10)
    expect(described).toEqual(variables(hostCode))
  })
})

describe('the check of the pages', () => {
  const wrong = (text: string): Page => ({ path: 'examples/wrong.md', text })

  it('finds every kind of link to a missing file or heading', () => {
    const text =
      '# A heading: `one`, two\n[a](gone.md) [b](README.md) [c](../README.md#gone) [d](#a-heading-one-two) [e]\n\n[e]: ../gone.md\n`[f](code.md)`'
    expect(brokenLinks(wrong(text))).toEqual(['gone.md', '../README.md#gone', '../gone.md'])
  })

  it('finds a missing file that is named as code or in a command', () => {
    const text =
      '`src/gone.ts` `client.ts` `src/state/` `test/gone/` `state.db` `a/b`\n```sh\nnode examples/gone/main.ts # gone.ts\n.ci/gone\n```'
    expect(missingFiles(wrong(text))).toEqual(['src/gone.ts', 'test/gone', 'examples/gone/main.ts', '.ci/gone'])
  })

  it('finds a command whose script or option does not exist', () => {
    const text = '`npm run gone`, npm run demo -- --gone 4\n`npm run demo:fleet -- --generation v1` `npm test` `npm run -s gone:too` npm ci'
    expect(brokenCommands(wrong(text))).toEqual(['npm run gone', 'npm run demo -- --gone 4', 'npm run -s gone:too'])
  })
})
