import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Application } from 'typedoc'
import { ENTRY_POINTS, PAGES } from './contents.ts'
import { addContents, ENTRY_POINTS_TITLE, SiteRouter, SiteTheme } from './layout.ts'
import { extendMarkdown } from './markdown.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/**
 * Builds the documentation site: the README as start page, the pages of {@link PAGES}, and a page for each export of the entry points.
 * The site is a folder of files. It works from the file system and under any address, and loads nothing from another host.
 *
 * @throws an error if TypeDoc has a warning: a link or a path that leads nowhere, an export without a doc comment, a type that a signature
 * names and no entry point exports
 */
export async function buildSite(out: string): Promise<void> {
  const files = PAGES.map(({ file }) => file)
  const missing = readdirSync(`${ROOT}docs`).filter((name) => name.endsWith('.md') && !files.includes(`docs/${name}`))
  if (missing.length > 0) throw new Error(`Not in the menu of the site (scripts/docs/contents.ts): ${missing.join(', ')}`)

  const app = await Application.bootstrap({
    name: 'acestream-orchestrator-client',
    includeVersion: true,
    // `npm run check:types` checks the types.
    skipErrorChecking: true,
    tsconfig: `${ROOT}tsconfig.json`,
    entryPoints: Object.values(ENTRY_POINTS).map((file) => ROOT + file),
    readme: `${ROOT}README.md`,
    projectDocuments: files.map((file) => ROOT + file),
    displayBasePath: ROOT,
    // The repository has no public address yet.
    disableSources: true,
    // What `Error` of the platform has is no documentation of this package.
    excludeExternals: true,
    sortEntryPoints: false,
    sort: ['source-order'],
    groupOrder: [
      'Constructors',
      'Methods',
      'Accessors',
      'Properties',
      'Classes',
      'Functions',
      'Variables',
      'Interfaces',
      'Type Aliases',
      '*',
    ],
    searchInDocuments: true,
    useFirstParagraphOfCommentAsSummary: true,
    navigation: { includeGroups: true },
    headings: { readme: false, document: false },
    includeHierarchySummary: false,
    visibilityFilters: {},
    customCss: `${ROOT}scripts/docs/style.css`,
    favicon: `${ROOT}scripts/docs/favicon.svg`,
    router: 'site',
    theme: 'site',
    locales: { en: { kind_module: 'Entry point', kind_plural_module: ENTRY_POINTS_TITLE, kind_plural_document: 'Pages' } },
    highlightLanguages: ['ts', 'js', 'sh', 'json', 'yaml', 'http', 'diff'],
    ignoredHighlightLanguages: ['mermaid'],
    markdownItLoader: extendMarkdown,
    hideGenerator: true,
    validation: true,
    requiredToBeDocumented: ['Module', 'Class', 'Interface', 'TypeAlias', 'Variable', 'Function', 'Method', 'Accessor'],
  })
  app.renderer.defineRouter('site', SiteRouter)
  app.renderer.defineTheme('site', SiteTheme)
  addContents(app.converter)

  const project = await app.convert()
  if (project !== undefined) {
    app.validate(project)
    await app.generateDocs(project, out)
  }
  if (project === undefined || app.logger.hasErrors() || app.logger.hasWarnings()) {
    throw new Error('The site has problems: see the warnings above. Correct the pages or the doc comments that they name.')
  }
}
