import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, posix } from 'node:path'
import { describe, expect, it } from 'vitest'
import { fencedBlocks } from '../docs/code-blocks.ts'
import { ROOT, read, relativeLinks } from '../docs/pages.ts'
import { npmSync } from '../support/npm.ts'

const manifest = JSON.parse(read('package.json')) as {
  name: string
  author: string
  description: string
  keywords: string[]
  files: string[]
}

/** Paths of all files that the registry gets, except those of the build: its scripts are not run. */
function packedFiles(): string[] {
  // A new cache, because the default cache may be read-only.
  const cache = mkdtempSync(join(tmpdir(), 'npm-cache-'))
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts', '--cache', cache]
  const { status, stdout, stderr, error } = npmSync(args, ROOT)
  rmSync(cache, { recursive: true, force: true })
  if (status !== 0) throw new Error(`npm pack failed with ${status}: ${stderr}${stdout}`, { cause: error })
  const [packed] = Object.values(JSON.parse(stdout) as Record<string, { files: { path: string }[] }>)
  return packed?.files.map(({ path }) => path) ?? []
}

const packed = packedFiles()

describe('the package on a registry', () => {
  it('has the keywords that people search for', () => {
    const words = [
      'acestream',
      'ace stream',
      'iptv',
      'proxy',
      'orchestrator',
      'load balancing',
      'm3u8',
      'streaming',
      'acestream-orchestrator',
      'acexy',
    ]
    for (const word of words) expect(manifest.keywords).toContain(word)
    expect(new Set(manifest.keywords).size).toBe(manifest.keywords.length)
  })

  it('names its author, and the licence has the same name', () => {
    expect(manifest.author).not.toBe('')
    expect(read('LICENSE')).toContain(manifest.author)
  })

  it('contains the licence, the README, the changelog and the build', () => {
    expect(packed).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'CHANGELOG.md', 'package.json']))
    expect(manifest.files).toContain('dist')
  })

  it('contains the page about stores that the README and an error of the Redis store name', () => {
    expect(packed).toContain('docs/stores.md')
    expect(read('README.md')).toContain('](docs/stores.md)')
    expect(read('src/state/redis/reply-error.ts')).toContain('docs/stores.md')
  })

  it.each(['guarantees', 'hazards', 'incidents', 'moving-from-go', 'playbacks', 'protocol', 'reference', 'testing'])(
    'contains the page docs/%s.md that the README names',
    (page) => {
      expect(packed).toContain(`docs/${page}.md`)
      expect(read('README.md')).toContain(`](docs/${page}.md)`)
    },
  )

  it('contains the reference proxy and the examples that the README names, and no file that only serves development', () => {
    const named = ['README.md', 'proxy/server.ts', 'quick-start/watch.ts', 'servers/fastify.ts', 'grafana/dashboard.json'].map(
      (path) => `examples/${path}`,
    )
    expect(packed).toEqual(expect.arrayContaining(named))
    const allowed =
      /^(dist\/|docs\/[\w-]+\.md$|examples\/(README\.md|grafana\/|proxy\/|quick-start\/|servers\/)|(LICENSE|README\.md|CHANGELOG\.md|package\.json)$)/
    expect(packed.filter((path) => !allowed.test(path))).toEqual([])
  })

  it('has no broken relative link on any page', () => {
    const pages = packed.filter((path) => path.endsWith('.md'))
    const links = pages.flatMap((page) =>
      relativeLinks(read(page))
        .filter(({ path }) => path !== '')
        .map(({ path }) => posix.join(posix.dirname(page), path)),
    )
    expect(links.length).toBeGreaterThan(2)
    // A registry takes the images from the repository. They would make the package twice as large.
    const images = links.filter((path) => path.endsWith('.png'))
    expect(images.filter((path) => !existsSync(path))).toEqual([])
    expect(links.filter((path) => !packed.includes(path) && !images.includes(path))).toEqual([])
  })

  it('has a README that shows first what it is, then how to install it, then how to try it in a clone, and then a whole proxy', () => {
    const readme = read('README.md')
    const [, title = '', introduction = ''] = /^# (.+)\n\n([^#`][\s\S]*?)\n\n```/.exec(readme) ?? []
    expect(title).toBe(manifest.name)
    expect(introduction).toMatch(/AceStream/)
    expect(introduction).toContain('https://github.com/krinkuto11/acestream-orchestrator')
    const [install, clone, proxy] = fencedBlocks({ path: 'README.md', text: readme })
    expect(install).toMatchObject({ language: 'sh', code: `npm install ${manifest.name}` })
    expect(clone).toMatchObject({ language: 'sh', code: expect.stringMatching(/^npm ci && npm run demo\b.*\nnpm ci && npm test\b.*$/) })
    expect(proxy).toMatchObject({ language: 'ts', flags: ['complete'], code: expect.stringContaining(`from '${manifest.name}'`) })
    expect(readme.indexOf('## Try it')).toBeLessThan(readme.indexOf(clone?.code ?? ''))
    expect(readme.indexOf('## A whole proxy')).toBeLessThan(readme.indexOf(proxy?.code ?? ''))
  })
})
