import type { EngineTile, Slot } from './engine-tiles.ts'
import { type Html, html } from './html.ts'
import type { ContentRow, WaitingRow } from './rows.ts'
import type { StatusState } from './state.ts'

/** The parts of the page that change, by the id of their element. */
type SectionName = 'summary' | 'engines' | 'contents' | 'waiting' | 'log'
export type Sections = Readonly<Record<SectionName, string>>

/** Maximum number of rows and tiles of each section. A page must stay small, however many viewers there are. */
const MAX_ROWS = 100
const MAX_SLOTS = 32
const MAX_ADDRESSES = 20

const SLOT_NAMES: Readonly<Record<Slot, string>> = {
  own: 'used by this proxy',
  reserved: 'being opened',
  other: 'used by another proxy',
  free: 'free',
}

const STATE_NAMES: Readonly<Record<ContentRow['state'], string>> = {
  opening: 'opening',
  playing: 'playing',
  lingering: 'no viewer, ends soon',
  stopping: 'stopping',
}

/** Renders the sections. The same state always gives the same text, so that only changed sections are sent. */
export function renderSections(state: StatusState): Sections {
  return {
    summary: summary(state).text,
    engines: engines(state).text,
    contents: contents(state.contents).text,
    waiting: waiting(state.waiting).text,
    log: log(state).text,
  }
}

/** Renders the engines as a table, for a browser without JavaScript. */
export function enginesTable({ engines }: StatusState): Html {
  if (engines.length === 0) return html``
  const rows = engines
    .slice(0, MAX_ROWS)
    .map((tile) => html`<tr><th scope="row">${tile.name}</th><td>${slotsText(tile)}</td><td>${healthText(tile)}</td></tr>`)
  return table('Engines', ['Engine', 'Slots', 'State'], rows)
}

function summary({ viewers, waiting, engines, circuit, health, store, storeFailsSince, isClosing, figures }: StatusState): Html {
  const limited = engines.filter(({ limit }) => limit !== undefined)
  const used = engines.reduce((sum, tile) => sum + usedCount(tile), 0)
  const room = limited.reduce((sum, { limit = 0 }) => sum + limit, 0)
  const waitingCount = waiting.reduce((sum, row) => sum + row.viewers, 0)
  const isFull = !engines.some((tile) => isUsable(tile) && tile.slots.includes('free'))
  const failed = figures.rescued + figures.cutOff + figures.tooSlow
  return html`<dl class="figures">
${figure('Viewers', viewers, isClosing ? 'the proxy is closing' : waitingText(waitingCount), isClosing || (isFull && waitingCount > 0))}
${figure('Slots', room === 0 ? used : `${used} / ${room}`, `${used >= room && room > 0 ? 'all in use ' : ''}on ${engines.length} ${engines.length === 1 ? 'engine' : 'engines'}`)}
${circuit === undefined ? html`` : figure('Circuit', circuit, CIRCUIT_TEXTS[circuit], circuit !== 'closed')}
${health === undefined ? html`` : orchestrator(health, circuit)}
${figure('Store', store, storeFailsSince === undefined ? 'in order' : `fails since ${clock(storeFailsSince)}`, storeFailsSince !== undefined)}
${figure('Rescued', figures.rescued, failed === figures.rescued ? 'no viewer was cut off' : `${figures.cutOff} cut off, ${figures.tooSlow} too slow`)}
</dl>`
}

const CIRCUIT_TEXTS = {
  closed: 'requests are sent',
  'half-open': 'the next request decides',
  open: 'no requests are sent',
} as const

function waitingText(count: number): string {
  return count === 0 ? 'none is waiting' : `${count} ${count === 1 ? 'is' : 'are'} waiting`
}

function orchestrator(health: NonNullable<StatusState['health']>, circuit: StatusState['circuit']): Html {
  const { status, key } = health
  // The last check may be older than the failures that opened the circuit.
  if (circuit === 'open') return figure('Orchestrator', 'failing', 'requests to it fail', true)
  const isBad = status === 'unavailable' || status === 'degraded' || key === 'rejected'
  return figure('Orchestrator', status === 'unknown' ? 'not checked' : status, orchestratorText(health), isBad)
}

function orchestratorText({ status, key, provisioning }: NonNullable<StatusState['health']>): string {
  if (key === 'rejected') return 'rejects the API key'
  if (status === 'unknown') return key === 'accepted' ? 'accepts the API key' : 'the first check is due'
  return provisioning.canProvision ? 'can start engines' : `starts no engine: ${provisioning.code ?? 'no reason given'}`
}

function figure(name: string, value: string | number, note: string, isWarning = false): Html {
  return html`<div class="figure${isWarning ? ' warning' : ''}"><dt>${name}</dt><dd class="value">${value}</dd><dd class="note">${isWarning ? html`<span class="mark" aria-hidden="true">▲</span> ` : html``}${note}</dd></div>`
}

function engines({ engines, listFailure, health }: StatusState): Html {
  const note =
    listFailure === undefined
      ? html``
      : html`<p class="alert"><span aria-hidden="true">▲</span> The engine list cannot be read (${listFailure}). The last known list is shown.</p>`
  if (engines.length === 0) {
    if (health === undefined) return html`<p class="empty">There is no orchestrator. The engine is shown while it plays.</p>`
    return html`${note}<p class="empty">No engine is listed. Check that the orchestrator runs and has engines; a viewer starts one if the orchestrator can.</p>`
  }
  return html`${note}<ul class="tiles">${engines.slice(0, MAX_ROWS).map(tileOf)}</ul>${more(engines.length)}`
}

function tileOf(tile: EngineTile): Html {
  const squares = tile.slots.slice(0, MAX_SLOTS).map((slot) => html`<i class="slot ${slot}" title="${SLOT_NAMES[slot]}"></i>`)
  const hidden = tile.slots.length - squares.length
  return html`<li class="tile${isOver(tile) ? ' warning' : ''}" data-key="${tile.id}"><h3>${tile.name}</h3><p class="slots" role="img" aria-label="${slotsText(tile)}">${squares}${hidden > 0 ? html`<b>+${hidden}</b>` : html``}</p><p class="state"><span>${shortSlotsText(tile)}</span><span class="health ${tile.health ?? 'unlisted'}">${healthText(tile)}</span></p></li>`
}

function contents(rows: readonly ContentRow[]): Html {
  if (rows.length === 0) return html`<p class="empty">Nothing is played. Open <code>/ace/getstream?id=…</code> in a player.</p>`
  const cells = rows
    .slice(0, MAX_ROWS)
    .map(
      ({ name, engine, viewers, state, since, addresses }) =>
        html`<tr data-key="${name} ${engine} ${since.getTime()}"><th scope="row">${name}${addressList(addresses)}</th><td class="engine">${engine}</td><td class="number">${viewers}</td><td class="${state}">${STATE_NAMES[state]}</td><td>${time(since)}</td></tr>`,
    )
  return html`${table('Contents', ['Content', 'Engine', 'Viewers', 'State', 'Since'], cells)}${more(rows.length)}`
}

function waiting(rows: readonly WaitingRow[]): Html {
  if (rows.length === 0) return html`<p class="empty">No viewer waits.</p>`
  const cells = rows
    .slice(0, MAX_ROWS)
    .map(
      ({ name, viewers, since, addresses }, index) =>
        html`<tr data-key="${name}"><td class="number">${index + 1}</td><th scope="row">${name}${addressList(addresses)}</th><td class="number">${viewers}</td><td>${time(since)}</td></tr>`,
    )
  return html`${table('Waiting', ['Place', 'Content', 'Viewers', 'Since'], cells)}${more(rows.length)}`
}

function log({ events }: StatusState): Html {
  if (events.length === 0) return html`<p class="empty">Nothing has happened yet.</p>`
  return html`<ol class="events">${events.map(
    ({ id, at, level, text }) =>
      html`<li class="${level}" data-key="${id}">${time(at)} <span>${level === 'warning' ? html`<b class="mark">Warning:</b> ` : html``}${text}</span></li>`,
  )}</ol>`
}

/** Columns of numbers, which are aligned at the right. */
const NUMBERS: ReadonlySet<string> = new Set(['Place', 'Viewers'])

function table(name: string, columns: readonly string[], rows: readonly Html[]): Html {
  const heads = columns.map((column) => html`<th scope="col"${NUMBERS.has(column) ? html` class="number"` : html``}>${column}</th>`)
  return html`<table class="${name.toLowerCase()}"><thead><tr>${heads}</tr></thead><tbody>${rows}</tbody></table>`
}

function addressList(addresses: readonly string[]): Html {
  if (addresses.length === 0) return html``
  const shown = addresses.slice(0, MAX_ADDRESSES).join(', ')
  return html`<small class="addresses">${shown}${addresses.length > MAX_ADDRESSES ? `, … ${addresses.length} in total` : ''}</small>`
}

function more(count: number): Html {
  return count > MAX_ROWS ? html`<p class="empty">${count - MAX_ROWS} more are not shown.</p>` : html``
}

function usedCount({ slots }: EngineTile): number {
  return slots.filter((slot) => slot !== 'free').length
}

/** Whether new streams may be started on it. */
function isUsable({ health, isDraining }: EngineTile): boolean {
  return health !== 'unhealthy' && !isDraining
}

function isOver(tile: EngineTile): boolean {
  return tile.limit !== undefined && usedCount(tile) > tile.limit
}

function slotsText(tile: EngineTile): string {
  const used = usedCount(tile)
  return tile.limit === undefined ? `${used} in use` : `${used} of ${tile.limit} in use`
}

/** Beside the squares, which show what is counted. */
function shortSlotsText(tile: EngineTile): string {
  return tile.limit === undefined ? slotsText(tile) : `${usedCount(tile)} of ${tile.limit}`
}

function healthText({ health, isDraining }: EngineTile): string {
  if (health === null) return 'not listed'
  return isDraining ? `${health}, draining` : health
}

function time(at: Date): Html {
  return html`<time datetime="${at.toISOString()}">${clock(at)}</time>`
}

function clock(at: Date): string {
  return at.toISOString().slice(11, 19)
}
