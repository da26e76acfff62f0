/**
 * The rooms of `src/` and the arrows between them. `npm run check:arrows` fails where an import has no arrow here, and a test
 * compares these arrows with the code and with the diagram in ARCHITECTURE.md.
 */

/** A room is a folder of `src/`, or these files. */
export const FILES = {
  client: 'client|index',
  wiring: 'wiring|connection|lifecycle|upkeep|close',
  errors: 'errors|error-base|playback-errors|failures|version',
}

/** The rooms that each room may import. A room stands above all rooms that it imports, so there is no circle. */
export const ARROWS = {
  cli: ['client', 'wiring', 'options', 'engines', 'model', 'runtime', 'errors'],
  client: ['wiring', 'streams', 'options', 'state', 'telemetry', 'model', 'runtime', 'errors'],
  wiring: ['diagnosis', 'health', 'playback', 'streams', 'engines', 'options', 'orchestrator', 'telemetry', 'model', 'runtime', 'errors'],
  diagnosis: ['engines', 'options', 'orchestrator', 'state', 'model', 'runtime', 'errors'],
  playback: ['streams', 'engines', 'options', 'telemetry', 'model', 'runtime', 'errors'],
  health: ['orchestrator', 'telemetry', 'model', 'runtime', 'errors'],
  streams: ['engines', 'options', 'orchestrator', 'state', 'telemetry', 'model', 'runtime', 'errors'],
  engines: ['options', 'orchestrator', 'state', 'telemetry', 'model', 'runtime', 'errors'],
  options: ['state', 'model', 'runtime', 'errors'],
  orchestrator: ['model', 'runtime', 'errors'],
  telemetry: ['model', 'runtime', 'errors'],
  state: ['runtime', 'errors'],
  model: ['runtime', 'errors'],
  runtime: ['errors'],
  errors: [],
}

/** Imports that no room may have, although their rooms may import each other. */
export const NEVER = [
  {
    from: 'src/(?!wiring|connection)',
    to: 'src/engines/pushes/',
    except: 'src/engines/pushes/',
    because: 'pushes are optional: only the wiring knows of them',
  },
  { from: 'src/', to: 'src/state/redis/', except: 'src/state/redis/', because: 'Redis is an entry point of its own' },
  { from: 'src/', to: 'src/state/sqlite/', except: 'src/state/sqlite/', because: 'SQLite is an entry point of its own' },
  { from: 'src/', to: 'src/telemetry/otel/', except: 'src/telemetry/otel/', because: 'OpenTelemetry is an entry point of its own' },
  {
    from: 'src/',
    to: 'src/telemetry/prometheus/',
    except: 'src/telemetry/prometheus/',
    because: 'Prometheus is an entry point of its own',
  },
  { from: 'src/', to: 'src/cli/', except: 'src/cli/', because: 'the command line is a program of its own' },
  { from: 'src/', to: 'src/testing/', except: 'src/testing/', because: 'the test kit is an entry point of its own' },
]
