import { expect, it } from 'vitest'
import { stateTable } from '../../scripts/docs/markdown.ts'
import { brokenLinks, foreignResources, reachableFrom } from './site-links.ts'

const site = (files: Record<string, string>): Map<string, string> => new Map(Object.entries(files))

it('the check of the site finds a link to a missing page, a missing anchor and a missing image', () => {
  const files = site({
    'index.html': '<a href="docs/a.html#one">a</a><a href="docs/a.html#gone">b</a><a href="gone.html">c</a><a href="#here" id="here">d</a>',
    'docs/a.html':
      '<h2 id="one">One</h2><img src="../media/a.png"/><img src="../media/gone.png"/><a href="../">up</a><a href="#nowhere">e</a>',
    'media/a.png': '',
  })
  expect(brokenLinks(files)).toEqual([
    'index.html -> docs/a.html#gone',
    'index.html -> gone.html',
    'docs/a.html -> ../media/gone.png',
    'docs/a.html -> #nowhere',
  ])
})

it('the check of the site takes no code for a link, and no link to another site for a broken one', () => {
  const files = site({
    'index.html': `<code>&lt;a href="gone.html"&gt;</code><script>document.write('<a href="gone.html">')</script><a href="https://test/x">x</a>`,
  })
  expect(brokenLinks(files)).toEqual([])
})

it('the check of the site finds what a page or a style loads from another host or from the root of its host', () => {
  const files = site({
    'index.html': `<script src="https://cdn.test/a.js"></script><link rel="stylesheet" href='//cdn.test/b.css'/><script src="assets/c.js"></script>
      <img src="/d.png"/><img src="data:image/png;base64,AA"/><a href="https://elsewhere.test/">a link loads nothing</a>`,
    'assets/style.css':
      '@import "http://fonts.test/e.css"; a { background: url(https://cdn.test/f.png) } b { background: url("data:image/png;base64,AA") }',
  })
  expect(foreignResources(files)).toEqual([
    'index.html: https://cdn.test/a.js',
    'index.html: //cdn.test/b.css',
    'index.html: /d.png',
    'assets/style.css: https://cdn.test/f.png',
    'assets/style.css: http://fonts.test/e.css',
  ])
})

it('the check of the site follows links from page to page, and not to pages that are not there', () => {
  const files = site({
    'index.html': '<a href="docs/a.html">a</a><a href="gone.html">b</a>',
    'docs/a.html': '<a href="b.html#two">b</a>',
    'docs/b.html': '<a href="../index.html">up</a>',
    'docs/alone.html': '<a href="../index.html">up</a>',
  })
  expect([...reachableFrom('index.html', files)]).toEqual(['index.html', 'docs/a.html', 'docs/b.html'])
})

it('the site shows a state diagram as a table, and rejects a diagram that it cannot show', () => {
  expect(stateTable('stateDiagram-v2\n  [*] --> open: a < b\n  open --> [*]: c: d\n')).toContain(
    '<tr><td>(none)</td><td>a &lt; b</td><td><strong>open</strong></td></tr><tr><td><strong>open</strong></td><td>c: d</td><td>(none)</td></tr>',
  )
  expect(() => stateTable('flowchart TD\n  a --> b')).toThrow('state diagrams only, and not: flowchart TD')
  expect(() => stateTable('stateDiagram-v2\n  a --> b')).toThrow('Not a transition of a state diagram:   a --> b')
})
