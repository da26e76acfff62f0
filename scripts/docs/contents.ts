/** A page of the site that is a Markdown file of the repository. */
export interface SitePage {
  /** What the menu calls it. */
  readonly title: string
  /** Relative to the repository. */
  readonly file: string
}

/** Pages under one heading of the menu. */
export interface SiteGroup {
  readonly title: string
  readonly pages: readonly SitePage[]
}

/**
 * The menu of the site, in the order in which a newcomer reads. Each page of `docs/` must be in it. The README is the start page, above all
 * these; the entry points come last.
 */
export const CONTENTS: readonly (SitePage | SiteGroup)[] = [
  { title: 'Concepts', file: 'docs/concepts.md' },
  { title: 'Guarantees', file: 'docs/guarantees.md' },
  { title: 'Failures', file: 'docs/failures.md' },
  { title: 'Playbacks', file: 'docs/playbacks.md' },
  { title: 'Stores and fleets', file: 'docs/stores.md' },
  { title: 'Telemetry', file: 'docs/telemetry.md' },
  { title: 'Troubleshooting', file: 'docs/troubleshooting.md' },
  { title: 'Testing a proxy', file: 'docs/testing.md' },
  { title: 'Moving from the Go client', file: 'docs/moving-from-go.md' },
  {
    title: 'Examples',
    pages: [
      { title: 'All examples', file: 'examples/README.md' },
      { title: 'The reference proxy', file: 'examples/proxy/README.md' },
      { title: 'A dashboard for Grafana', file: 'examples/grafana/README.md' },
    ],
  },
  {
    title: 'The wire',
    pages: [
      { title: 'Protocol', file: 'docs/protocol.md' },
      { title: 'Hazards', file: 'docs/hazards.md' },
      { title: 'Incidents', file: 'docs/incidents.md' },
    ],
  },
  { title: 'Reference', file: 'docs/reference.md' },
  { title: 'Changelog', file: 'CHANGELOG.md' },
]

/** All pages of the menu, in its order. */
export const PAGES: readonly SitePage[] = CONTENTS.flatMap((entry) => ('pages' in entry ? entry.pages : [entry]))

/** The entry points of the package, by the name that a user imports, in the order of the menu. */
export const ENTRY_POINTS: Readonly<Record<string, string>> = {
  'acestream-orchestrator-client': 'src/index.ts',
  'acestream-orchestrator-client/sqlite': 'src/state/sqlite/index.ts',
  'acestream-orchestrator-client/redis': 'src/state/redis/index.ts',
  'acestream-orchestrator-client/otel': 'src/telemetry/otel/index.ts',
  'acestream-orchestrator-client/prometheus': 'src/telemetry/prometheus/index.ts',
  'acestream-orchestrator-client/testing': 'src/testing/index.ts',
}
