import type { Sequence } from '../runtime/sequence.ts'
import { OrchestratorCalls, type OrchestratorCallsParts } from './calls.ts'
import { DialectResolver } from './dialects.ts'
import { Requester, type RequesterOptions } from './requester.ts'
import type { Dialect } from './routes.ts'
import { EntryReports } from './unreadable-entries.ts'

// A diagnosis uses these from here: a static import of their files would cut this chunk into several.
export { withoutNetworkAdvice } from '../runtime/connection-failure.ts'
export { headersFrom, looksLikeHtml, schemeOf } from './answers.ts'
export { parseHttpDate } from './timestamps.ts'

/** Dependencies and options of {@link Wire}. */
export interface WireParts extends RequesterOptions, Pick<OrchestratorCallsParts, 'onStartAcknowledged'> {
  dialect: 'auto' | Dialect
  sequence: Sequence
  /** Aborts with the client. */
  lifetime: AbortSignal
}

/** All that sends requests and reads answers. It is loaded with the first request: see `Link`. */
export class Wire {
  readonly requester: Requester
  readonly dialects: DialectResolver
  readonly reports: EntryReports
  readonly calls: OrchestratorCalls

  constructor(parts: WireParts) {
    this.requester = new Requester(parts)
    this.dialects = new DialectResolver(this.requester, parts.dialect, parts.lifetime)
    this.reports = new EntryReports(this.requester)
    this.calls = new OrchestratorCalls({ ...parts, requester: this.requester, dialects: this.dialects, reports: this.reports })
  }
}
