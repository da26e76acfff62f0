import {
  BaseRouter,
  Converter,
  DefaultTheme,
  type DocumentReflection,
  type NavigationElement,
  type ProjectReflection,
  type Reflection,
  ReflectionKind,
} from 'typedoc'
import { CONTENTS, ENTRY_POINTS, PAGES, type SitePage } from './contents.ts'

const MAIN = 'acestream-orchestrator-client'
/** The heading of the entry points in the menu. */
export const ENTRY_POINTS_TITLE = 'Entry points'

const pageOf = new WeakMap<Reflection, SitePage>()

/**
 * Gives each page the title that it has in the menu, so that the Markdown files need no front matter. Sorts the exports of an entry point by
 * name. Resolves links of a doc comment to exports of another entry point.
 */
export function addContents(converter: Converter): void {
  converter.on(Converter.EVENT_CREATE_DOCUMENT, (_, document: DocumentReflection) => {
    const page = PAGES.find(({ file }) => file === `${document.name}.md`)
    if (page === undefined) throw new Error(`${document.name}.md is not in the menu of the site`)
    pageOf.set(document, page)
    document.name = page.title
  })
  converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => linkAcrossEntryPoints(project))
  converter.on(
    Converter.EVENT_RESOLVE_END,
    ({ project }) => {
      for (const { groups = [] } of project.children ?? []) {
        for (const { children } of groups) children.sort((one, other) => one.name.localeCompare(other.name))
      }
    },
    -200, // after TypeDoc has made the groups
  )
}

/**
 * Gives each link of a doc comment to a bare name its target, if an entry point exports that name. TypeDoc asks the compiler for targets, which
 * takes `{@link X}` after `@throws` for a type, and then searches only the entry point that has the comment.
 */
function linkAcrossEntryPoints({ reflections, children: entryPoints = [] }: ProjectReflection): void {
  const exported = new Map(entryPoints.flatMap(({ children = [] }) => children.map((child) => [child.name, child] as const)))
  for (const { comment } of Object.values(reflections)) {
    if (comment === undefined) continue
    for (const part of [...comment.summary, ...comment.blockTags.flatMap(({ content }) => content)]) {
      const target = part.kind === 'inline-tag' && part.target === undefined ? exported.get(part.text.trim()) : undefined
      if (part.kind === 'inline-tag' && target !== undefined) part.target = target
    }
  }
}

/** Addresses that follow the files and the names: `docs/stores.html`, `api/redis.html`, `api/redis/RedisStore.html`. */
export class SiteRouter extends BaseRouter {
  protected override getIdealBaseName(reflection: Reflection): string {
    const page = pageOf.get(reflection)
    if (page !== undefined) return page.file.toLowerCase().replace(/(readme)?\.md$/, (_, isIndex) => (isIndex ? 'index' : ''))
    const module = reflection.kindOf(ReflectionKind.Module) ? reflection : reflection.parent
    if (module === undefined || !(module.name in ENTRY_POINTS)) throw new Error(`${reflection.getFullName()} is in no entry point`)
    const entry = module.name === MAIN ? 'main' : module.name.slice(MAIN.length + 1)
    return module === reflection ? `api/${entry}` : `api/${entry}/${this.getUrlSafeName(reflection.name)}`
  }
}

/** TypeDoc's own theme, with the menu of {@link CONTENTS}. */
export class SiteTheme extends DefaultTheme {
  override buildNavigation(project: ProjectReflection): NavigationElement[] {
    const entryPoints = super.buildNavigation(project).find(({ text }) => text === ENTRY_POINTS_TITLE)
    if (entryPoints === undefined) throw new Error('The site has no entry points')
    const paths = new Map(project.documents?.map((document) => [pageOf.get(document)?.file, this.router.getFullUrl(document)]))
    const link = ({ title, file }: SitePage): NavigationElement => ({ text: title, path: paths.get(file) ?? '' })
    return [
      { text: 'Start', path: 'index.html' },
      ...CONTENTS.map((entry) => ('pages' in entry ? { text: entry.title, children: entry.pages.map(link) } : link(entry))),
      { ...entryPoints, path: 'modules.html' },
    ]
  }
}
