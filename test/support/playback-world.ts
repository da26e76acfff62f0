import type { JoinStreamOptions, OpenStream, OpenStreamOptions, StreamViewer } from 'acestream-orchestrator-client'
import { EnginesHost, type TestPlayback } from './engines-host.ts'
import { type Setup, setup } from './setup.ts'

/** The content that the calls of a {@link PlaybackWorld} name, unless a test names another one. */
export const CONTENT = { keyType: 'infohash', key: 'a'.repeat(40) } as const

/** A client on a fake orchestrator, and a host that opens and closes playbacks. */
export interface PlaybackWorld extends Setup {
  host: EnginesHost
  open(options?: Partial<OpenStreamOptions<TestPlayback>>): Promise<OpenStream<TestPlayback>>
  join(options?: Partial<JoinStreamOptions<TestPlayback>>): Promise<StreamViewer<TestPlayback>>
}

/** Takes the options of `setup`. */
export function world(...parameters: Parameters<typeof setup>): PlaybackWorld {
  const built = setup(...parameters)
  const host = new EnginesHost(built.clock)
  const { client } = built
  const common = { ...CONTENT, open: host.open, close: host.close }
  return {
    ...built,
    host,
    open: (options = {}) => client.openStream({ ...common, ...options }),
    join: (options = {}) => client.joinStream({ ...common, ...options }),
  }
}
