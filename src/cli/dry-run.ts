import { type ExplainedEngine, type Explanation, explainChoice, type Hindrance } from '../engines/placement/explanation.ts'
import { Lifecycle } from '../lifecycle.ts'
import type { OrchestratorHealth } from '../model/health.ts'
import { checkAcquireOptions } from '../options/acquire-options.ts'
import type { OrchestratorClientOptions } from '../options/options.ts'
import { resolveOptions } from '../options/resolve.ts'
import { waitUnlessAborted } from '../runtime/abort.ts'
import { addressOf, type Cell, counted, printable, type Screen, shortId } from './screen.ts'

/** The caller whose choice is explained. */
export interface DryRunRequest {
  readonly exclude: readonly string[]
  readonly content: { readonly keyType: 'infohash' | 'content_id'; readonly key: string } | undefined
  readonly mayProvision: boolean
  readonly signal: AbortSignal
}

/** A choice, explained, and whether a new engine could be started. */
export interface DryRun extends Explanation {
  readonly limit: number
  readonly mayProvision: boolean
  /** `undefined`: the orchestrator does not say. */
  readonly provisioning: OrchestratorHealth['provisioning'] | undefined
}

/**
 * Explains which engine a viewer would get now. Takes no slot and starts no engine.
 *
 * @throws the error of the engine list
 */
export async function dryRun(
  options: OrchestratorClientOptions,
  { exclude, content, mayProvision, signal }: DryRunRequest,
): Promise<DryRun> {
  const resolved = resolveOptions(options)
  const lifecycle = new Lifecycle(resolved, { sweep() {} })
  const { alive, engineList, taker, health } = lifecycle.parts
  try {
    const snapshot = await alive.during(engineList.get({ fresh: true, signal }))
    const ids = snapshot.engines.map(({ containerId }) => containerId)
    const acquire = checkAcquireOptions({ exclude: exclude.flatMap((id) => named(id, ids)), ...(content && { content }) })
    const filter = { exclude: acquire.exclude, content: acquire.content, allowUnhealthy: !mayProvision }
    const explanation = await explainChoice(taker, snapshot, filter)
    const checked = await alive.during(waitUnlessAborted(health.check(), signal)).catch(() => undefined)
    signal.throwIfAborted()
    return { ...explanation, limit: resolved.maxStreamsPerEngine, mayProvision, provisioning: checked?.provisioning }
  } finally {
    await lifecycle.close(0)
  }
}

/** The engines whose id begins with this text; the text itself if there is none. */
function named(text: string, ids: readonly string[]): readonly string[] {
  const found = ids.filter((id) => id.startsWith(text))
  return found.length === 0 ? [text] : found
}

const WHY_NOT: Readonly<Record<Hindrance, string>> = {
  excluded: 'excluded by --exclude',
  draining: 'draining: it will be removed',
  full: 'full',
  unhealthy: 'unhealthy',
  ejected: 'ejected after failures',
  unsettled: 'handed out a moment ago',
}

/** Shows the choice: the engine, then all candidates and why each is not first. */
export function showDryRun(run: DryRun, screen: Screen): string[] {
  const { engines } = run
  const best = engines.filter(({ rank }) => rank === 1)
  const [first] = best
  const rows = engines.map((each): Cell[] => [
    each.rank === undefined ? '-' : String(each.rank),
    shortId(each.engine.containerId),
    addressOf(each.engine),
    [`${each.load}/${run.limit}`, each.load >= run.limit ? 'warning' : 'good'],
    each.hindrance === undefined ? [reasonOf(each, first), 'good'] : [WHY_NOT[each.hindrance], 'warning'],
  ])
  const table = engines.length === 0 ? [] : ['', ...screen.table(['RANK', 'ENGINE', 'ADDRESS', 'LOAD', 'WHY'], rows)]
  return [
    ...screen.wrap(printable(conclusionOf(run, best)), '').map((line) => screen.paint(line, first === undefined ? 'bad' : 'good')),
    ...table,
  ]
}

function conclusionOf(run: DryRun, best: readonly ExplainedEngine[]): string {
  const [first] = best
  if (first === undefined) return `A viewer would get no engine now. ${provisioningOf(run)}`
  if (run.isSpread) return 'A viewer would get one of the engines with the fewest streams, by chance: other proxies start many streams now.'
  if (best.length > 1) return `A viewer would get one of ${best.length} equally good engines, by chance.`
  return `A viewer would get engine ${shortId(first.engine.containerId)} at ${addressOf(first.engine)}.`
}

function provisioningOf({ mayProvision, provisioning, engines }: DryRun): string {
  const missing = engines.length === 0 ? 'There is no engine.' : `None of ${counted(engines.length, 'engine')} can be used.`
  if (!mayProvision) return `${missing} It would wait for a free slot.`
  if (provisioning?.canProvision === false) {
    return `${missing} The orchestrator starts no new one now${provisioning.reason === undefined ? '' : `: ${provisioning.reason}`}. It would wait for a free slot.`
  }
  return `${missing} A new engine would be requested.`
}

/** What makes an engine worse than the best one, in the order of the ranking. */
function reasonOf({ candidate, rank }: ExplainedEngine, best: ExplainedEngine | undefined): string {
  const other = best?.candidate
  if (candidate === undefined || other === undefined || rank === 1) return rank === 1 ? 'best' : ''
  if (candidate.engine.healthStatus === 'unhealthy' && other.engine.healthStatus !== 'unhealthy') return 'unhealthy'
  if (candidate.hasContent && !other.hasContent) return 'plays this content, or failed to'
  if (candidate.load !== other.load) return 'more streams'
  if (candidate.vpnLoad !== other.vpnLoad) return 'more streams on its VPN node'
  if (candidate.engine.forwarded !== other.engine.forwarded) return 'no forwarded port'
  return 'used more recently'
}
