import { Cluster, Redis } from 'ioredis'
import { createClient, createCluster } from 'redis'

export type Library = 'ioredis' | 'node-redis'
export const LIBRARIES: readonly Library[] = ['ioredis', 'node-redis']

/** Settings of a client library for the time without a connection. */
export interface OfflineSettings {
  /** Whether commands wait for a connection. */
  readonly waitsOffline: boolean
  /** Whether a command is rejected after some attempts to connect. */
  readonly givesUp: boolean
}

/** A connection of one of the libraries. */
interface Opened {
  readonly client: unknown
  readonly isReady: () => boolean
  readonly destroy: () => void
}

/** The port to connect to, by the server's own port. */
type Ports = ReadonlyMap<number, number>
type Open = (ports: Ports, settings: OfflineSettings) => Opened

/** Short, because libraries retry in real time and the simulation waits for them. */
const RETRY_MS = 10
const ignore = (): void => {}
const first = (ports: Ports): number => [...ports.values()][0] ?? 0

export const OPEN: Readonly<Record<Library, Open>> = {
  ioredis(ports, { waitsOffline, givesUp }) {
    const client = new Redis({
      port: first(ports),
      retryStrategy: () => RETRY_MS,
      enableOfflineQueue: waitsOffline,
      maxRetriesPerRequest: givesUp ? 20 : null,
    })
    client.on('error', ignore)
    return { client, isReady: () => client.status === 'ready', destroy: () => client.disconnect() }
  },
  'node-redis'(ports, { waitsOffline }) {
    const client = createClient({
      url: `redis://127.0.0.1:${first(ports)}`,
      disableOfflineQueue: !waitsOffline,
      socket: { reconnectStrategy: () => RETRY_MS },
    })
    client.on('error', ignore)
    client.connect().catch(ignore)
    return { client, isReady: () => client.isReady, destroy: () => client.destroy() }
  },
}

export const OPEN_CLUSTER: Readonly<Record<Library, Open>> = {
  ioredis(ports) {
    const natMap = Object.fromEntries([...ports].map(([server, port]) => [`127.0.0.1:${server}`, { host: '127.0.0.1', port }]))
    const client = new Cluster([{ host: '127.0.0.1', port: first(ports) }], {
      natMap,
      clusterRetryStrategy: () => RETRY_MS,
      retryDelayOnTryAgain: RETRY_MS,
      retryDelayOnFailover: RETRY_MS,
    })
    client.on('error', ignore)
    return { client, isReady: () => client.status === 'ready', destroy: () => client.disconnect() }
  },
  'node-redis'(ports) {
    const client = createCluster({
      rootNodes: [{ url: `redis://127.0.0.1:${first(ports)}` }],
      nodeAddressMap: Object.fromEntries([...ports].map(([server, port]) => [`127.0.0.1:${server}`, { host: '127.0.0.1', port }])),
      defaults: { socket: { reconnectStrategy: () => RETRY_MS } },
    })
    client.on('error', ignore)
    let isReady = false
    client.connect().then(() => {
      isReady = true
    }, ignore)
    return { client, isReady: () => isReady, destroy: () => client.destroy() }
  },
}
