import { posix } from 'node:path'

/** The files of a site: the address relative to its root, and the text of those that are HTML or CSS. */
export type SiteFiles = ReadonlyMap<string, string>

interface Target {
  /** Relative to the root of the site. */
  readonly path: string
  readonly anchor: string | undefined
}

/** Links and images of all pages that lead to no file or to no anchor: `docs/a.html -> b.html#c`. */
export function brokenLinks(files: SiteFiles): string[] {
  const anchorsOf = new Map(pages(files).map(([path, html]) => [path, new Set(valuesOf(html, ['id', 'name']))]))
  return pages(files).flatMap(([from, html]) =>
    references(html).flatMap((reference) => {
      const target = resolve(from, reference)
      if (target === undefined) return []
      const anchors = anchorsOf.get(target.path)
      const isAnchorMissing = target.anchor !== undefined && anchors !== undefined && !anchors.has(target.anchor)
      return files.has(target.path) && !isAnchorMissing ? [] : [`${from} -> ${reference}`]
    }),
  )
}

/** What the pages and the styles load from another host or from the root of their host: `index.html: https://fonts.test/a.css`. */
export function foreignResources(files: SiteFiles): string[] {
  const isForeign = (address: string): boolean => /^([a-z][a-z\d+.-]*:)?\/|^(?!data:)[a-z][a-z\d+.-]*:/i.test(address)
  const loaded = (path: string, text: string): string[] => {
    const addresses = [...text.matchAll(/\burl\(\s*["']?([^"')]+)/g), ...text.matchAll(/@import\s+["']([^"']+)/g)].map(
      ([, url = '']) => url,
    )
    if (path.endsWith('.css')) return addresses
    return [
      ...addresses,
      ...tags(text).flatMap((tag) => valuesOf(tag, tag.startsWith('<a ') ? [] : ['src', 'srcset', 'data', 'poster', 'href'])),
    ]
  }
  return [...files].flatMap(([path, text]) => loaded(path, text).flatMap((address) => (isForeign(address) ? [`${path}: ${address}`] : [])))
}

/** The pages that a reader can reach from `start` by links in the text, without the menu. */
export function reachableFrom(start: string, files: SiteFiles): Set<string> {
  const found = new Set([start])
  for (const from of found) {
    for (const reference of references(files.get(from) ?? '')) {
      const target = resolve(from, reference)
      if (target?.path.endsWith('.html') && files.has(target.path)) found.add(target.path)
    }
  }
  return found
}

function pages(files: SiteFiles): [path: string, html: string][] {
  return [...files].filter(([path]) => path.endsWith('.html'))
}

/** Where a reference of a page leads within the site. `undefined`: to another site. */
function resolve(from: string, reference: string): Target | undefined {
  if (/^([a-z][a-z\d+.-]*:|\/\/)/i.test(reference)) return undefined
  const [address = '', anchor = ''] = reference.split('#')
  const path = address === '' ? from : posix.join(posix.dirname(from), decodeURI(address))
  return { path: path.endsWith('/') ? posix.join(path, 'index.html') : path, anchor: anchor === '' ? undefined : decodeURI(anchor) }
}

function references(html: string): string[] {
  return tags(html).flatMap((tag) => valuesOf(tag, ['href', 'src']))
}

/** The opening tags of a page, without those that a script has as text. */
function tags(html: string): string[] {
  return html.replaceAll(/(<script\b[^>]*>)[\s\S]*?<\/script>/g, '$1').match(/<[a-z](?:[^>"']|"[^"]*"|'[^']*')*>/gi) ?? []
}

function valuesOf(html: string, attributes: readonly string[]): string[] {
  const pattern = new RegExp(`\\s(?:${attributes.join('|')})=(?:"([^"]*)"|'([^']*)')`, 'gi')
  return attributes.length === 0 ? [] : [...html.matchAll(pattern)].map(([, one, other]) => unescapeHtml(one ?? other ?? ''))
}

function unescapeHtml(text: string): string {
  return text.replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&')
}
