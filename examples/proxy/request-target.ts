/** The target of a request: the path in decoded segments, and the query. */
export interface RequestTarget {
  readonly segments: readonly string[]
  readonly query: URLSearchParams
}

/**
 * Parses the target of a request (RFC 9112, section 3.2). Decodes each segment once. Returns `undefined` for a target that can name nothing
 * here: a wrong escape, a `.` or `..` segment, or no path. `URL` is not used: it resolves `..` and reads `//host` as another host.
 */
export function parseTarget(target: string): RequestTarget | undefined {
  // A client may send an absolute URL. Its host is ignored: this proxy never forwards a request to it.
  const relative = target.replace(/^https?:\/\/[^/?#]*/i, '').replace(/#.*/s, '')
  const [path = '', query = ''] = splitOnce(relative, '?')
  if (path === '') return relative === target ? undefined : { segments: [], query: new URLSearchParams(query) }
  if (!path.startsWith('/')) return undefined
  const segments = path.slice(1).replace(/\/$/, '').split('/').map(decode)
  if (segments.length === 1 && segments[0] === '') return { segments: [], query: new URLSearchParams(query) }
  return segments.every(isName) ? { segments, query: new URLSearchParams(query) } : undefined
}

/** Returns what the prefix leaves of the segments, or `undefined` if they do not begin with it. */
export function withoutPrefix(segments: readonly string[], prefix: readonly string[]): readonly string[] | undefined {
  return prefix.every((segment, index) => segments[index] === segment) ? segments.slice(prefix.length) : undefined
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator)
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

function decode(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment)
  } catch {
    return undefined
  }
}

function isName(segment: string | undefined): segment is string {
  return segment !== undefined && segment !== '' && segment !== '.' && segment !== '..'
}
