/** Something that may have anything in it. */
type Anything = Readonly<Record<string, unknown>>

const asObject = (value: unknown): Anything => (typeof value === 'object' && value !== null ? (value as Anything) : {})

/** Where the server of a client is, as far as the client says: never a user or a password. */
export function addressOf(client: unknown): string {
  const { options, isCluster } = asObject(client)
  if (isCluster === true || 'rootNodes' in asObject(options)) return 'the cluster'
  const { host, port, path, socket, url } = asObject(options)
  if (typeof path === 'string') return path
  const { host: socketHost, port: socketPort, path: socketPath } = asObject(socket)
  if (typeof socketPath === 'string') return socketPath
  const parsed = typeof url === 'string' && URL.canParse(url) ? new URL(url) : undefined
  const name = [host, socketHost, parsed?.hostname].find((found) => typeof found === 'string' && found !== '') ?? 'localhost'
  const number = [port, socketPort, parsed?.port].find((found) => (typeof found === 'number' || typeof found === 'string') && found !== '')
  return `${String(name)}:${String(number ?? 6_379)}`
}

/** What a client says of its connection, where that explains why it does not answer. */
export function stateOf(client: unknown): string | undefined {
  const { status, isOpen, isReady } = asObject(client)
  // ioredis has a word for it. A cluster's client of node-redis has no `isReady`.
  if (typeof status === 'string') return status === 'ready' ? undefined : `'${status}': it has no connection`
  if (isOpen === false) return 'closed: call its connect() before the store is used'
  return isReady === false ? 'open, without a connection: it tries to connect' : undefined
}
