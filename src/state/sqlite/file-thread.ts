import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { ABANDONED, ANSWERED, type FromThread, PHASE, RUNNING, STARTING, type ThreadData, type ToThread } from './thread-messages.ts'

/** How long the constructor of a store waits for a thread to start. */
const START_MS = 10_000
/** How long a thread may take for an answer. It writes all changes before. */
const ANSWER_MS = 30_000

/** Loads the thread's module. If that fails, the store notices at once: no event arrives while it waits. */
const LOAD = `
  import('node:worker_threads').then(({ workerData: { moduleUrl, signal } }) => import(moduleUrl).catch(() => {
    Atomics.compareExchange(signal, ${PHASE}, ${STARTING}, ${ABANDONED})
    Atomics.notify(signal, ${PHASE})
  }))
`

/** What a {@link FileThread} calls. */
export interface FileThreadListeners {
  readonly onMessage: (message: FromThread) => void
  /** The thread has ended although it was not closed. */
  readonly onDeath: (cause: unknown) => void
}

/** The thread that writes a state file (`sqlite-thread.ts`): starts it, and exchanges messages with it. */
export class FileThread {
  readonly #listeners: FileThreadListeners
  readonly #signal = new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT))
  readonly #port: MessagePort
  readonly #worker: Worker
  /** The number of the last question. The first is whether the file could be opened. */
  #question = 1
  #isOver = false

  /** @throws if this runtime has no threads, or does not allow them */
  private constructor(path: string, listeners: FileThreadListeners) {
    const { port1, port2 } = new MessageChannel()
    // The build puts the module beside this one. Both names end with `.ts` in the sources.
    const moduleUrl = new URL(`./sqlite-thread${import.meta.url.slice(-3)}`, import.meta.url).href
    const workerData: ThreadData = { moduleUrl, path, port: port2, signal: this.#signal }
    // Options and variables of the process could preload other modules into the thread. Node 22 warns once that SQLite is experimental.
    const isolated = { execArgv: [], env: { NODE_NO_WARNINGS: '1' } }
    this.#worker = new Worker(LOAD, { eval: true, workerData, transferList: [port2], ...isolated })
    this.#port = port1
    this.#listeners = listeners
    this.#listen()
  }

  /**
   * Starts a thread that opens the file. Blocks until `onMessage` has received the result.
   *
   * @returns `undefined` if no thread can be started here. Then the file was not touched
   */
  static start(path: string, listeners: FileThreadListeners): FileThread | undefined {
    let thread: FileThread
    try {
      thread = new FileThread(path, listeners)
    } catch {
      return undefined
    }
    if (thread.#isRunning()) {
      thread.#awaitAnswer()
      return thread
    }
    thread.end()
    return undefined
  }

  post(message: ToThread): void {
    this.#port.postMessage(message)
  }

  /** Asks the thread, and blocks until it has handled everything that was posted before, and `onMessage` has received all of its messages. */
  ask(kind: 'check' | 'close'): void {
    this.#question += 1
    this.post({ kind, question: this.#question })
    this.#awaitAnswer()
  }

  /** Whether the process stays alive until the thread has answered. */
  keepAlive(isNeeded: boolean): void {
    if (isNeeded) this.#port.ref()
    else this.#port.unref()
  }

  /** Call it when the thread needs no more messages. It closes the file if it has opened it, and ends by itself. */
  end(): void {
    this.#isOver = true
    this.#port.close()
  }

  #listen(): void {
    let cause: unknown
    this.#port.on('message', this.#listeners.onMessage)
    this.#port.unref()
    this.#worker.on('error', (error) => {
      cause = error
    })
    this.#worker.on('exit', () => {
      if (this.#isOver) return
      this.end()
      this.#listeners.onDeath(cause)
    })
    this.#worker.unref()
  }

  /** Blocks until the thread runs. If it does not start in time, it never touches the file. */
  #isRunning(): boolean {
    Atomics.wait(this.#signal, PHASE, STARTING, START_MS)
    return Atomics.compareExchange(this.#signal, PHASE, STARTING, ABANDONED) === RUNNING
  }

  #awaitAnswer(): void {
    for (let last = this.#answered; last < this.#question; last = this.#answered)
      if (Atomics.wait(this.#signal, ANSWERED, last, ANSWER_MS) === 'timed-out') break
    for (let next = receiveMessageOnPort(this.#port); next !== undefined; next = receiveMessageOnPort(this.#port))
      this.#listeners.onMessage(next.message as FromThread)
  }

  get #answered(): number {
    return Atomics.load(this.#signal, ANSWERED)
  }
}
