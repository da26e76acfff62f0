import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The root directory of the repository, with a slash at the end. It has slashes on Windows too, as TypeScript writes paths. */
export const ROOT = fileURLToPath(new URL('../../', import.meta.url)).replaceAll('\\', '/')

/** Directories that are not searched: built, installed or temporary. Directories that begin with a dot are skipped too. */
const SKIPPED_DIRECTORIES = new Set(['node_modules', 'dist', 'coverage', 'site'])

/** A text of the repository. */
export interface Page {
  /** Relative to {@link ROOT}, with slashes. */
  readonly path: string
  readonly text: string
}

/** The text of one file of the repository. */
export function read(path: string): string {
  return readFileSync(ROOT + path, 'utf8')
}

/** All Markdown pages of the repository, except the reports of `npm run api`: these have no text of their own. */
export function markdownPages(): Page[] {
  return pagesUnder('', /(?<!\.api)\.md$/)
}

/** All files under `directory` whose path matches. */
export function pagesUnder(directory: string, pattern: RegExp): Page[] {
  return filesUnder(directory)
    .filter((path) => pattern.test(path))
    .map((path) => ({ path, text: read(path) }))
}

/** Paths of all files under `directory` (`''`: the whole repository), sorted. */
export function filesUnder(directory: string): string[] {
  const prefix = directory === '' ? '' : `${directory}/`
  return readdirSync(ROOT + directory, { withFileTypes: true })
    .flatMap((entry) => {
      if (!entry.isDirectory()) return [prefix + entry.name]
      return SKIPPED_DIRECTORIES.has(entry.name) || entry.name.startsWith('.') ? [] : filesUnder(prefix + entry.name)
    })
    .sort()
}

/** A link of a page to another file or heading, without its title. */
export interface Link {
  /** The path as written, without the anchor; empty for a link within the page. */
  readonly path: string
  /** The anchor of the heading. */
  readonly anchor: string | undefined
}

/** All links of a Markdown text that are not absolute: inline links, images and reference definitions. */
export function relativeLinks(text: string): Link[] {
  const prose = withoutCode(text)
  const targets = [...prose.matchAll(/\]\(\s*<?([^)\s>]+)/g), ...prose.matchAll(/^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)/gm)]
  return targets
    .map(([, target = '']) => target)
    .filter((target) => !/^([a-z][a-z\d+.-]*:|\/\/)/i.test(target))
    .map((target) => {
      const [path = '', anchor] = target.split('#')
      return { path: decodeURI(path), anchor }
    })
}

/** The anchors of a page's headings, as GitHub and npm make them. */
export function anchors(text: string): string[] {
  const headings = [...withoutFences(text).matchAll(/^#{1,6}\s+(.*?)\s*#*$/gm)]
  return headings.map(([, heading = '']) =>
    heading
      .replaceAll('`', '')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(/\s/g, '-'),
  )
}

/** The contents of all inline code of a Markdown text. */
export function codeSpans(text: string): string[] {
  return [...withoutFences(text).matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code)
}

function withoutFences(text: string): string {
  return text.replaceAll(/^([>\s]*)(`{3,}|~{3,})[^\n]*\n[\s\S]*?^[>\s]*\2[`~]*[ \t]*$/gm, '')
}

function withoutCode(text: string): string {
  return withoutFences(text).replaceAll(/`[^`\n]+`/g, (code) => (code.includes('](') ? '' : code))
}
