import { connect, createServer, type Server, type Socket } from 'node:net'

/** Bytes on their way. */
interface Parcel {
  readonly bytes: Buffer
  readonly dueMs: number
}

/** One connection through the link. Requests keep their order, and answers theirs. */
interface Wire {
  readonly client: Socket
  readonly server: Socket
  readonly requests: Parcel[]
  readonly answers: Parcel[]
  /** Nothing passes, in neither direction. */
  isHeld: boolean
  /** The client's end is gone; what it has sent still arrives. */
  isOrphan: boolean
}

/**
 * A TCP proxy between a client and its server that does what networks do. Its delays are by the given clock: call {@link pump} whenever time
 * has passed.
 */
export class FaultyLink {
  readonly #now: () => number
  readonly #listener: Server
  readonly #wires = new Set<Wire>()
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

  /** Where clients connect. */
  get port(): number {
    const address = this.#listener.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  /** Whether requests and answers pass at once. */
  get isClear(): boolean {
    if (this.#isHeld || this.#delayMs > 0 || this.#answersToLose > 0) return false
    return ![...this.#wires].some((wire) => !wire.isOrphan && (wire.isHeld || wire.requests.length > 0 || wire.answers.length > 0))
  }

  /** Every byte takes so long in each direction from now on; 0: no time. */
  delay(ms: number): void {
    this.#delayMs = ms
  }

  /** Freezes all connections, those to come too. */
  hold(): void {
    this.#isHeld = true
    for (const wire of this.#wires) wire.isHeld = true
  }

  /** What was held arrives, in order. */
  resume(): void {
    this.#isHeld = false
    for (const wire of this.#wires) wire.isHeld = false
    this.pump()
  }

  /** Cuts all connections. Requests that are on their way are lost. */
  cut(): void {
    for (const wire of this.#wires) this.#close(wire)
  }

  /**
   * Cuts all connections for the clients. Requests that are on their way arrive `afterMs` later all the same, so that requests on new
   * connections overtake them.
   */
  cutButDeliver(afterMs: number): void {
    const dueMs = this.#now() + afterMs
    for (const wire of this.#wires) {
      wire.requests.splice(0, Number.POSITIVE_INFINITY, ...wire.requests.map(({ bytes }) => ({ bytes, dueMs })))
      wire.isHeld = false
      wire.client.destroy()
    }
    this.#isHeld = false
  }

  /** Each of the next answers is lost, and its connection cut: the request was carried out, and its sender does not know. */
  loseAnswers(count: number): void {
    this.#answersToLose = count
  }

  /** Connects to another server from now on, as after a failover. */
  retarget(port: number): void {
    this.#targetPort = port
    this.cut()
  }

  /** Passes on what is due. */
  pump(): void {
    for (const wire of this.#wires) this.#pumpWire(wire)
  }

  close(): void {
    this.#listener.close()
    this.cut()
  }

  #connect(client: Socket): void {
    const server = connect({ port: this.#targetPort, host: '127.0.0.1', noDelay: true })
    const wire: Wire = { client, server, requests: [], answers: [], isHeld: this.#isHeld, isOrphan: false }
    this.#wires.add(wire)
    for (const socket of [client, server]) socket.on('error', () => {})
    client.on('data', (bytes) => this.#send(wire, wire.requests, bytes))
    server.on('data', (bytes) => {
      if (this.#answersToLose === 0) return this.#send(wire, wire.answers, bytes)
      this.#answersToLose -= 1
      this.#close(wire)
    })
    client.on('close', () => {
      wire.isOrphan = true
      wire.answers.length = 0
      this.#pumpWire(wire)
    })
    server.on('close', () => this.#close(wire))
  }

  #send(wire: Wire, parcels: Parcel[], bytes: Buffer): void {
    parcels.push({ bytes, dueMs: this.#now() + this.#delayMs })
    this.#pumpWire(wire)
  }

  #pumpWire(wire: Wire): void {
    if (wire.isHeld && !wire.isOrphan) return
    const now = this.#now()
    for (const [parcels, to] of [[wire.requests, wire.server] as const, [wire.answers, wire.client] as const]) {
      for (let next = parcels[0]; next !== undefined && next.dueMs <= now; next = parcels[0]) {
        parcels.shift()
        if (!to.destroyed) to.write(next.bytes)
      }
    }
    if (wire.isOrphan && wire.requests.length === 0) wire.server.end()
  }

  #close(wire: Wire): void {
    this.#wires.delete(wire)
    wire.client.destroy()
    wire.server.destroy()
  }
}
