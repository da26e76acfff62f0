import { type ActiveSession, type ActiveViewer, type Activity, type AskedContent, presentViewers } from './activity.ts'
import { addressName } from './names.ts'

/** A content that is played. */
export interface ContentRow {
  readonly name: string
  readonly engine: string
  readonly state: ActiveSession['state'] | 'lingering'
  readonly since: Date
  /** Its viewers, also viewers that wait for the first bytes. */
  readonly viewers: number
  /** Addresses of its viewers. Empty without details. */
  readonly addresses: readonly string[]
}

/** Viewers who wait for a slot for a content. */
export interface WaitingRow {
  readonly name: string
  readonly since: Date
  readonly viewers: number
  readonly addresses: readonly string[]
}

/** What the rows show. */
export interface RowNames {
  nameOf(content: AskedContent): string
  engineName(containerId: string): string
  /** Whether addresses of viewers are shown. */
  showsDetails: boolean
}

/** Returns the contents that are played, and the contents that wait for a slot in order of arrival. */
export function rowsOf(
  activity: Pick<Activity, 'sessions' | 'waiting'>,
  names: RowNames,
): { contents: ContentRow[]; waiting: WaitingRow[] } {
  const waiting = waitingByName(activity.waiting, names)
  const contents = Array.from(activity.sessions, (session) => {
    const name = names.nameOf(session.content)
    return contentRow(session, name, session.state === 'stopping' ? [] : (waiting.get(name) ?? []), names)
  })
  // A content with a session needs no slot. Its viewers wait only for the first bytes.
  for (const { name, state } of contents) if (state !== 'stopping') waiting.delete(name)
  return { contents, waiting: Array.from(waiting, ([name, viewers]) => waitingRow(name, viewers, names)) }
}

function contentRow(session: ActiveSession, name: string, joining: readonly ActiveViewer[], names: RowNames): ContentRow {
  const { engine, state, since } = session
  const viewers = [...presentViewers(session), ...joining]
  return {
    name,
    engine: engine.containerId ? names.engineName(engine.containerId) : addressName(engine),
    state: state === 'playing' && viewers.length === 0 ? 'lingering' : state,
    since,
    viewers: viewers.length,
    addresses: addressesOf(viewers, names),
  }
}

function waitingRow(name: string, viewers: readonly ActiveViewer[], names: RowNames): WaitingRow {
  return { name, since: viewers[0]?.since ?? new Date(), viewers: viewers.length, addresses: addressesOf(viewers, names) }
}

function waitingByName(viewers: Iterable<ActiveViewer>, { nameOf }: RowNames): Map<string, ActiveViewer[]> {
  const byName = new Map<string, ActiveViewer[]>()
  for (const viewer of viewers) {
    const name = nameOf(viewer.content)
    const others = byName.get(name)
    if (others === undefined) byName.set(name, [viewer])
    else others.push(viewer)
  }
  return byName
}

function addressesOf(viewers: readonly ActiveViewer[], { showsDetails }: RowNames): readonly string[] {
  if (!showsDetails) return []
  return [...new Set(viewers.map(({ address }) => address ?? 'unknown'))]
}
