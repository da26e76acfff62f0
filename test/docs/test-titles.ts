import ts from 'typescript'
import type { Page } from './pages.ts'

/** Functions of the test runner that take a title first. */
const RUNNERS = new Set(['describe', 'it', 'test'])

/** The titles of all tests and groups of a test file, with placeholders like `%s` and `${…}` unchanged. */
export function testTitles({ path, text }: Page): string[] {
  const titles: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && RUNNERS.has(runnerOf(node.expression))) {
      const [title] = node.arguments
      if (title !== undefined && ts.isStringLiteralLike(title)) titles.push(title.text)
      else if (title !== undefined && ts.isTemplateExpression(title)) titles.push(title.getText().slice(1, -1))
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true))
  return titles
}

/** `it` of `it`, `it.skip`, `it.each([…])` and `` it.each`…` ``. */
function runnerOf(expression: ts.Expression): string {
  if (ts.isIdentifier(expression)) return expression.text
  if (ts.isPropertyAccessExpression(expression) || ts.isCallExpression(expression)) return runnerOf(expression.expression)
  return ts.isTaggedTemplateExpression(expression) ? runnerOf(expression.tag) : ''
}

/** A test that a page quotes. */
export interface QuotedTest {
  readonly file: string
  /** The title of the test, or a part of it. */
  readonly title: string
}

/**
 * The tests that a page quotes. A quote is a list item that begins with a test file, followed by titles in quotation marks. If there are no
 * titles, the title is `''`.
 */
export function quotedTests({ text }: Page): QuotedTest[] {
  return [...text.matchAll(/^\s*- `(test\/[\w./-]+\.test\.ts)`((?:(?!\n\s*- |\n\s*\n|\n#)[\s\S])*)/gm)].flatMap(
    ([, file = '', rest = '']) => {
      const titles = [...rest.replaceAll(/\s+/g, ' ').matchAll(/"([^"]*)"/g)].map(([, title = '']) => title)
      return (titles.length === 0 ? [''] : titles).map((title) => ({ file, title }))
    },
  )
}
