import { StoreError } from '../../errors.ts'
import type { Clock, Timer } from '../../runtime/clock.ts'
import type { Identity } from './identity.ts'
import type { RedisLink } from './link.ts'

/** An operation of the script, and what is to be done once it is applied. */
export interface Operation {
  readonly args: readonly string[]
  readonly applied?: ((answer: unknown) => void) | undefined
}

/** Makes the operation that tells Redis how something is now; `undefined`: there is nothing to tell. */
export type Encode = () => Operation | undefined

/** `away`: Redis gets it later. `gone`: others took this member for dead before, and may have its slots. */
export type Outcome = 'done' | 'away' | 'gone'

/** What becomes of a question. */
export interface Trace {
  /** Whether it may have reached Redis. */
  hasLeft: boolean
}

/** How a question is asked. */
export interface AskOptions {
  /** When its caller began to wait, by the clock. @default now */
  readonly since?: number | undefined
  readonly trace?: Trace | undefined
}

interface Question {
  readonly operation: Operation
  readonly since: number
  readonly trace: Trace | undefined
  /** Its caller does not wait any more. */
  isOver: boolean
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: unknown) => void
}

interface Change {
  readonly encode: Encode
  /** When the first of those that wait began to. */
  since: number
  readonly waiters: ((outcome: Outcome) => void)[]
}

type Entry = { readonly question: Question } | { readonly change: Change }
type Queue = Map<string | symbol, Entry>

/** Ends the wait of callers whose time is up. */
interface Deadlines {
  /** A caller may have begun to wait before the batch was sent. */
  add: (entry: Entry) => void
  cancel: () => void
}

/** What is under way, with the operation it became. */
type Sent = [key: string | symbol, entry: Entry, operation: Operation | undefined]

/** What an {@link WriteQueue} needs. */
export interface WriteQueueParts {
  link: RedisLink
  clock: Clock
  timeoutMs: number
  identity: Identity
  keys: () => readonly string[]
  /** Further arguments of every batch. */
  settings: readonly string[]
  /** What a newcomer asks with its first batch. */
  greeting: Operation
  /** This process became another member, and has to report all that it holds: what is changed in the course of it. */
  onAnew: (wasBuried: boolean) => void
}

/** Arguments of one batch: the server does nothing else meanwhile. */
const MOST_ARGUMENTS = 2_000
/** The subject of the operation with which a member leaves. */
const LEAVING = 'leave'
/** Times in a row that one batch makes this process another member, before that counts as a failure. */
const MOST_IDENTITIES = 3

/**
 * All that one process tells Redis, and asks it, in order. One batch is under way at a time, so that none overtakes another; what comes
 * meanwhile leaves with the next. Changes are made until they are confirmed: they say how something is when the batch leaves, so it does not matter how
 * often they are made. Questions fail when Redis is away.
 */
export class WriteQueue {
  readonly #parts: WriteQueueParts
  #queue: Queue = new Map()
  #running: Promise<void> | undefined
  #isClosed = false
  /** Of the batch that is under way. */
  #deadlines: Deadlines | undefined

  constructor(parts: WriteQueueParts) {
    this.#parts = parts
  }

  /** Whether a change waits to be made. */
  get hasChanges(): boolean {
    return [...this.#queue.values()].some((entry) => 'change' in entry)
  }

  /** @throws {@link StoreError} where Redis does not answer in time */
  ask(args: readonly string[], { since = this.#parts.clock.now(), trace }: AskOptions = {}): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(new StoreError('The store is closed', { reason: 'unavailable' }))
    return new Promise((resolve, reject) => {
      const entry = { question: { operation: { args }, since, trace, isOver: false, resolve, reject } }
      this.#queue.set(Symbol('question'), entry)
      this.#deadlines?.add(entry)
      this.#start()
    })
  }

  /** Makes known how something is. `subject` names it: what is said of it later takes the place of what has not left yet. */
  change(subject: string, encode: Encode): Promise<Outcome> {
    if (this.#isClosed) return Promise.resolve('away')
    const { link, clock } = this.#parts
    const queued = this.#queue.get(subject)
    const change = queued !== undefined && 'change' in queued ? queued.change : { encode, since: clock.now(), waiters: [] }
    this.#queue.set(subject, { change })
    if (link.failure !== undefined) {
      link.tryLater()
      return Promise.resolve('away')
    }
    if (change.waiters.length === 0) change.since = clock.now()
    return new Promise((resolve) => {
      change.waiters.push(resolve)
      this.#start()
    })
  }

  /** Leaves with an operation that is sent after all others. The server does not know this member then, so nothing is sent afterwards. */
  leave(encode: () => readonly string[]): Promise<Outcome> {
    return this.change(LEAVING, () => ({ args: encode(), applied: () => this.close() }))
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    await this.#running
  }

  close(): void {
    this.#isClosed = true
    this.#fail(new StoreError('The store is closed', { reason: 'unavailable' }))
    this.#queue.clear()
  }

  #start(): void {
    // What is said in the same moment leaves together.
    this.#running ??= Promise.resolve()
      .then(() => this.#run())
      .finally(() => {
        this.#running = undefined
        this.#goOn()
      })
  }

  /** What was said while the last batch came to its end. */
  #goOn(): void {
    const { failure } = this.#parts.link
    if (failure !== undefined) this.#fail(failure)
    else if (this.#queue.size > 0 && !this.#isClosed) this.#start()
  }

  async #run(): Promise<void> {
    const { link } = this.#parts
    let identities = 0
    while (this.#queue.size > 0) {
      const { failure } = link
      if (failure !== undefined) return this.#fail(failure)
      const batch = this.#nextBatch()
      if (batch.length === 0) continue
      const sent = await this.#send(batch)
      if (sent === 'failed') return
      if (sent === 'done') identities = 0
      else if (++identities === MOST_IDENTITIES)
        return this.#fail(new StoreError('Redis keeps losing what it knew', { reason: 'unavailable' }))
    }
  }

  /** As much as one batch takes. */
  #nextBatch(): Sent[] {
    const batch: Sent[] = []
    let size = 0
    for (const [key, entry] of this.#queue) {
      if (size >= MOST_ARGUMENTS) break
      if (key === LEAVING && this.#queue.size > 1) continue
      this.#queue.delete(key)
      if ('question' in entry && entry.question.isOver) continue
      const operation = 'question' in entry ? entry.question.operation : entry.change.encode()
      if ('question' in entry && entry.question.trace !== undefined) entry.question.trace.hasLeft = true
      size += operation?.args.length ?? 0
      if (operation === undefined && 'change' in entry) for (const resolve of entry.change.waiters) resolve('done')
      else batch.push([key, entry, operation])
    }
    return batch
  }

  async #send(batch: readonly Sent[]): Promise<'done' | 'anew' | 'failed'> {
    const { link, identity, keys, settings, greeting } = this.#parts
    const isNew = !identity.hasJoined
    const { number, head } = identity.next()
    const operations = batch.map(([, , operation]) => operation?.args ?? [])
    const args = [...head, ...settings, ...(isNew ? greeting.args : []), ...operations.flat()]
    const deadlines = this.#watchTime(batch)
    this.#deadlines = deadlines
    let answer: readonly [status: unknown, birth: unknown, rest: unknown]
    try {
      answer = await link.run(keys(), args, expectAnswer)
    } catch (error) {
      this.#putBack(batch)
      this.#fail(error)
      return 'failed'
    } finally {
      deadlines.cancel()
      this.#deadlines = undefined
    }
    const [status, birth, rest] = answer
    // The answer of the first time was lost, and the client library sent it again; or others took this member for dead meanwhile.
    if (String(status) === 'buried' && batch.some(([key]) => key === LEAVING)) {
      for (const [, entry, operation] of batch) deliver(entry, operation, undefined)
      return 'done'
    }
    if (String(status) !== 'done') {
      const isSameState = identity.startAnew(String(birth))
      // A server that lost data may have lost that this member joined: then it says that it does not give out slots.
      const wasBuried = String(status) === 'buried' || (String(status) === 'unknown' && isSameState && Number(rest) === 0)
      this.#becomeAnother(batch, wasBuried)
      return 'anew'
    }
    const answers = rest as unknown[]
    identity.applied(number, String(birth))
    if (isNew) greeting.applied?.(answers[0])
    for (const [place, [, entry, operation]] of batch.entries()) deliver(entry, operation, answers[place + Number(isNew)])
    return 'done'
  }

  /** Nobody waits longer than the time-out, counted from when it was asked; the batch itself has its own time. */
  #watchTime(batch: readonly Sent[]): Deadlines {
    const { clock, timeoutMs } = this.#parts
    const entries = [...batch.map(([, entry]) => entry), ...this.#queue.values()]
    const waiting = entries.filter((entry) => 'question' in entry || entry.change.waiters.length > 0)
    const dueAt = (entry: Entry): number => timeoutMs + ('question' in entry ? entry.question.since : entry.change.since)
    let timer: Timer | undefined
    const arm = (): void => {
      timer?.cancel()
      const next = Math.min(...waiting.map(dueAt))
      // Those that were asked just now end with the batch.
      if (next < clock.now() + timeoutMs) timer = clock.setTimeout(onDue, Math.max(0, next - clock.now()))
    }
    const onDue = (): void => {
      for (const entry of waiting.splice(0)) {
        if (dueAt(entry) > clock.now()) waiting.push(entry)
        else if ('change' in entry) for (const resolve of entry.change.waiters.splice(0)) resolve('away')
        else {
          entry.question.isOver = true
          entry.question.reject(new StoreError(`Redis did not answer within ${timeoutMs} ms`, { reason: 'unavailable' }))
        }
      }
      arm()
    }
    arm()
    const add = (entry: Entry): void => {
      if (dueAt(entry) >= clock.now() + timeoutMs) return
      waiting.push(entry)
      arm()
    }
    return { add, cancel: () => timer?.cancel() }
  }

  /** The server does not know this member any more. All that it holds is reported before anything else is asked. */
  #becomeAnother(batch: readonly Sent[], wasBuried: boolean): void {
    const later = this.#queue
    this.#queue = new Map()
    const questions: [string | symbol, Entry][] = []
    for (const [key, entry] of batch) {
      if ('question' in entry) questions.push([key, entry])
      // The slots of the dead are released; its entries and ends are still what this process says of them.
      else if (wasBuried && isSlot(key)) for (const resolve of entry.change.waiters) resolve('gone')
      else this.#queue.set(key, entry)
    }
    this.#parts.onAnew(wasBuried)
    for (const [key, entry] of [...questions, ...later]) this.#merge(key, entry)
  }

  /** Changes that were not confirmed are made again, before others. */
  #putBack(batch: readonly Sent[]): void {
    const later = this.#queue
    this.#queue = new Map()
    for (const [key, entry] of [...batch, ...later] as [string | symbol, Entry][]) this.#merge(key, entry)
  }

  #merge(key: string | symbol, entry: Entry): void {
    const queued = this.#queue.get(key)
    if (queued !== undefined && 'change' in queued && 'change' in entry) {
      const waiting = [queued.change, entry.change].filter(({ waiters }) => waiters.length > 0)
      queued.change.since = Math.min(...waiting.map(({ since }) => since), this.#parts.clock.now())
      queued.change.waiters.push(...entry.change.waiters)
    } else this.#queue.set(key, entry)
  }

  /** Nobody waits for a Redis that is away. Changes stay for when it is back. */
  #fail(error: unknown): void {
    for (const [key, entry] of this.#queue) {
      if ('question' in entry) {
        this.#queue.delete(key)
        entry.question.reject(error)
      } else {
        for (const resolve of entry.change.waiters.splice(0)) resolve('away')
      }
    }
    if (this.#queue.size > 0) this.#parts.link.tryLater()
  }
}

/** @throws {@link Error} for an answer that the script does not give */
function expectAnswer(answer: unknown): [status: unknown, birth: unknown, rest: unknown] {
  if (Array.isArray(answer) && answer.length >= 2 && (String(answer[0]) !== 'done' || Array.isArray(answer[2]))) {
    return answer as [status: unknown, birth: unknown, rest: unknown]
  }
  throw new Error('the answer is none of the script: does something between the client library and Redis change answers?')
}

const isSlot = (key: string | symbol): boolean => typeof key === 'string' && /^[ls]:/.test(key)

function deliver(entry: Entry, operation: Operation | undefined, answer: unknown): void {
  operation?.applied?.(answer)
  if ('question' in entry) entry.question.resolve(answer)
  else for (const resolve of entry.change.waiters) resolve('done')
}
