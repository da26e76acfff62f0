import { connect, createServer, type Server, type Socket } from 'node:net'

/** Bytes that the link has not delivered yet. */
interface PendingBytes {
  readonly bytes: Buffer
  readonly dueMs: number
}

/** One connection through the link. The order of the requests is kept, and the order of the answers too. */
interface Connection {
  readonly client: Socket
  readonly server: Socket
  readonly requests: PendingBytes[]
  readonly answers: PendingBytes[]
  /** No bytes pass, in either direction. */
  isHeld: boolean
  /** The client's socket is closed. Requests that it sent before still arrive. */
  isOrphan: boolean
}

/**
 * A TCP proxy between a client and its server that simulates the faults of networks. Its delays follow the given clock: call {@link pump}
 * whenever the clock has advanced.
 */
export class FaultyLink {
  readonly #now: () => number
  readonly #listener: Server
  readonly #connections = new Set<Connection>()
  #targetPort: number
  #delayMs = 0
  #isHeld = false
  #answersToLose = 0

  private constructor(listener: Server, targetPort: number, now: () => number) {
    this.#listener = listener
    this.#targetPort = targetPort
    this.#now = now
    listener.on('connection', (client) => this.#connect(client))
  }

  static async open(targetPort: number, now: () => number): Promise<FaultyLink> {
    const listener = createServer({ noDelay: true }).listen(0, '127.0.0.1')
    await new Promise((resolve) => listener.once('listening', resolve))
    return new FaultyLink(listener, targetPort, now)
  }

  /** The port that clients connect to. */
  get port(): number {
    const address = this.#listener.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  /** Whether requests and answers pass at once. */
  get isClear(): boolean {
    if (this.#isHeld || this.#delayMs > 0 || this.#answersToLose > 0) return false
    return ![...this.#connections].some(
      (connection) => !connection.isOrphan && (connection.isHeld || connection.requests.length > 0 || connection.answers.length > 0),
    )
  }

  /** Delays all bytes by `ms` in each direction from now on. */
  delay(ms: number): void {
    this.#delayMs = ms
  }

  /** Holds all bytes back, on open connections and on new ones. */
  hold(): void {
    this.#isHeld = true
    for (const connection of this.#connections) connection.isHeld = true
  }

  /** Delivers the bytes that were held back, in order. */
  resume(): void {
    this.#isHeld = false
    for (const connection of this.#connections) connection.isHeld = false
    this.pump()
  }

  /** Cuts all connections. Requests that were not delivered yet are lost. */
  cut(): void {
    for (const connection of this.#connections) this.#close(connection)
  }

  /**
   * Cuts all connections for the clients. Requests that were not delivered yet still arrive, `afterMs` from now, so that requests on new
   * connections overtake them.
   */
  cutButDeliver(afterMs: number): void {
    const dueMs = this.#now() + afterMs
    for (const connection of this.#connections) {
      connection.requests.splice(0, Number.POSITIVE_INFINITY, ...connection.requests.map(({ bytes }) => ({ bytes, dueMs })))
      connection.isHeld = false
      connection.client.destroy()
    }
    this.#isHeld = false
  }

  /** Drops each of the next `count` answers and cuts its connection: the server applies the request, and the client gets no answer. */
  loseAnswers(count: number): void {
    this.#answersToLose = count
  }

  /** Connects to another server from now on, as after a failover. */
  retarget(port: number): void {
    this.#targetPort = port
    this.cut()
  }

  /** Delivers all bytes that are due. */
  pump(): void {
    for (const connection of this.#connections) this.#pumpConnection(connection)
  }

  close(): void {
    this.#listener.close()
    this.cut()
  }

  #connect(client: Socket): void {
    const server = connect({ port: this.#targetPort, host: '127.0.0.1', noDelay: true })
    const connection: Connection = { client, server, requests: [], answers: [], isHeld: this.#isHeld, isOrphan: false }
    this.#connections.add(connection)
    for (const socket of [client, server]) socket.on('error', () => {})
    client.on('data', (bytes) => this.#send(connection, connection.requests, bytes))
    server.on('data', (bytes) => {
      if (this.#answersToLose === 0) return this.#send(connection, connection.answers, bytes)
      this.#answersToLose -= 1
      this.#close(connection)
    })
    client.on('close', () => {
      connection.isOrphan = true
      connection.answers.length = 0
      this.#pumpConnection(connection)
    })
    server.on('close', () => this.#close(connection))
  }

  #send(connection: Connection, queue: PendingBytes[], bytes: Buffer): void {
    queue.push({ bytes, dueMs: this.#now() + this.#delayMs })
    this.#pumpConnection(connection)
  }

  #pumpConnection(connection: Connection): void {
    if (connection.isHeld && !connection.isOrphan) return
    const now = this.#now()
    for (const [queue, to] of [[connection.requests, connection.server] as const, [connection.answers, connection.client] as const]) {
      for (let next = queue[0]; next !== undefined && next.dueMs <= now; next = queue[0]) {
        queue.shift()
        if (!to.destroyed) to.write(next.bytes)
      }
    }
    if (connection.isOrphan && connection.requests.length === 0) connection.server.end()
  }

  #close(connection: Connection): void {
    this.#connections.delete(connection)
    connection.client.destroy()
    connection.server.destroy()
  }
}
