import { StoreError } from '../../errors.ts'
import type { Clock, Timer } from '../../runtime/clock.ts'
import { makeRandomId } from '../../runtime/random.ts'
import { closedError, lostStateError } from './reply-error.ts'
import { type BatchAnswer, type Operation, type OperationCall, parseAnswer } from './script.ts'
import type { ScriptRunner } from './script-runner.ts'

/** Makes the operation that reports the current state of one subject. `undefined`: there is nothing to report. */
export type Encode = () => Operation | undefined

/** `done`: Redis applied it. `unavailable`: Redis did not answer. `dead`: other members took this process for dead and may have its slots. */
export type Outcome = 'done' | 'unavailable' | 'dead'

/** Options of {@link WriteQueue.ask}. */
export interface AskOptions {
  /** When the caller began to wait, by the clock of the store, milliseconds. @default now */
  readonly since?: number | undefined
  /** Called when the question is sent: Redis may apply it even if no answer comes. */
  readonly onSent?: (() => void) | undefined
}

/** An operation whose caller needs the answer. It fails if Redis is unavailable. */
interface Question {
  readonly kind: 'question'
  readonly operation: Operation
  readonly since: number
  readonly onSent: (() => void) | undefined
  /** Whether the caller has got a failure already. */
  isOver: boolean
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: unknown) => void
}

/** A change that Redis must apply. It stays in the queue until Redis has confirmed it. */
interface Change {
  readonly kind: 'change'
  readonly encode: Encode
  /** When its first waiter began to wait. */
  since: number
  readonly waiters: ((outcome: Outcome) => void)[]
}

type Entry = Question | Change
type Key = string | symbol

/** An entry in flight, and the operation that was sent for it. */
type Sent = { readonly key: Key; readonly entry: Entry; readonly operation: Operation }

/** Dependencies and options of {@link WriteQueue}. */
export interface WriteQueueParts {
  runner: ScriptRunner
  clock: Clock
  /** How long a caller waits, milliseconds. */
  timeoutMs: number
  keys: () => readonly string[]
  /** Arguments of every batch after the number of the predecessor. */
  settings: () => readonly string[]
  /** The first operation of a batch with which this process joins. */
  joinOperation: Operation
  /**
   * Called after this process got a new member id, and before anything else is sent. Must report all that this process holds, with
   * {@link WriteQueue.change}.
   */
  onNewMember: (wasTakenForDead: boolean) => void
}

/** Arguments of one batch. The server runs nothing else meanwhile. */
const MAX_ARGUMENTS = 2_000
/** The key of the operation with which a member leaves. */
const LEAVING = 'leave'
/** New member ids in a row without a batch that was applied, before it counts as a failure. */
const MAX_NEW_MEMBERS = 3
/** The predecessor of a process that was no member before. */
const NO_MEMBER = '-'

/**
 * Sends the changes and questions of one process to Redis, in order.
 *
 * One batch is in flight at a time, so that none overtakes another. Entries that are added meanwhile are sent with the next batch. A change
 * is sent again until Redis confirms it. Sending it twice is harmless, because it contains the current state, as of the sending.
 *
 * Owns the member id of this process. If Redis lost writes of this member, or other members took it for dead, the process joins again under
 * a new id.
 */
export class WriteQueue {
  readonly #parts: WriteQueueParts
  #queue = new Map<Key, Entry>()
  #running: Promise<void> | undefined
  #isClosed = false
  /** The batch in flight, and when it was sent. */
  #inFlight: readonly Sent[] = []
  #sentAt = Number.NEGATIVE_INFINITY
  #deadline: Timer | undefined
  #memberId = makeRandomId()
  #batchNumber = 0
  #confirmedNumber = 0
  #predecessor = NO_MEMBER
  #hasJoined = false
  /** The id of the state in Redis, from the last batch that was applied. Another id: the state was lost and made anew. */
  #birth = ''

  constructor(parts: WriteQueueParts) {
    this.#parts = parts
  }

  /** The member id with which the next batch is sent. */
  get memberId(): string {
    return this.#memberId
  }

  get hasJoined(): boolean {
    return this.#hasJoined
  }

  /** Whether Redis may hold something of this process. */
  get mayBeKnown(): boolean {
    return this.#hasJoined || this.#predecessor !== NO_MEMBER
  }

  /** Whether a change waits to be sent. Changes in flight do not count. */
  get hasChanges(): boolean {
    return [...this.#queue.values()].some(({ kind }) => kind === 'change')
  }

  /**
   * Runs an operation and resolves with its answer.
   *
   * @throws {@link StoreError} if Redis does not answer in time, or the queue is closed
   */
  ask(call: OperationCall, { since = this.#parts.clock.now(), onSent }: AskOptions = {}): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(closedError())
    return new Promise((resolve, reject) => {
      const entry: Question = { kind: 'question', operation: { call }, since, onSent, isOver: false, resolve, reject }
      this.#queue.set(Symbol('question'), entry)
      if (this.#inFlight.length > 0 && since < this.#sentAt) this.#watchDeadlines()
      this.#start()
    })
  }

  /**
   * Reports the state of a subject, again and again until Redis has confirmed it. Never rejects.
   *
   * @param subject the name of the subject. A later change of it replaces an earlier change that has not been sent yet
   */
  change(subject: string, encode: Encode): Promise<Outcome> {
    if (this.#isClosed) return Promise.resolve('unavailable')
    const { runner, clock } = this.#parts
    const queued = this.#queue.get(subject)
    const change: Change = queued?.kind === 'change' ? queued : { kind: 'change', encode, since: clock.now(), waiters: [] }
    this.#queue.set(subject, change)
    if (runner.failure !== undefined) {
      runner.scheduleRetry()
      return Promise.resolve('unavailable')
    }
    if (change.waiters.length === 0) change.since = clock.now()
    return new Promise((resolve) => {
      change.waiters.push(resolve)
      this.#start()
    })
  }

  /** Leaves the fleet with this operation, after everything else was sent. Closes the queue once it is applied. */
  leave(encode: () => OperationCall): Promise<Outcome> {
    return this.change(LEAVING, () => ({ call: encode(), onApplied: () => this.close() }))
  }

  /** Resolves when nothing is in flight. */
  async settled(): Promise<void> {
    await this.#running
  }

  /** Drops the queue. Questions are rejected; waiters of changes get `unavailable`. */
  close(): void {
    this.#isClosed = true
    this.#fail(closedError())
    this.#queue.clear()
  }

  #start(): void {
    // In a microtask: all entries that are added in the same turn are sent with one batch.
    this.#running ??= Promise.resolve()
      .then(() => this.#run())
      .finally(() => {
        this.#running = undefined
        // Entries may have been added while the last batch settled.
        const { failure } = this.#parts.runner
        if (failure !== undefined) this.#fail(failure)
        else if (this.#queue.size > 0 && !this.#isClosed) this.#start()
      })
  }

  async #run(): Promise<void> {
    const { runner } = this.#parts
    let newMemberCount = 0
    while (this.#queue.size > 0) {
      const { failure } = runner
      if (failure !== undefined) return this.#fail(failure)
      const batch = this.#nextBatch()
      if (batch.length === 0) continue
      const result = await this.#send(batch)
      if (result === 'failed') return
      newMemberCount = result === 'done' ? 0 : newMemberCount + 1
      if (newMemberCount === MAX_NEW_MEMBERS) return this.#fail(lostStateError(runner.place, MAX_NEW_MEMBERS))
    }
  }

  /** Takes as many entries as fit into one batch out of the queue. */
  #nextBatch(): Sent[] {
    const batch: Sent[] = []
    let size = 0
    for (const [key, entry] of this.#queue) {
      if (size >= MAX_ARGUMENTS) break
      if (key === LEAVING && this.#queue.size > 1) continue
      this.#queue.delete(key)
      if (entry.kind === 'question' && entry.isOver) continue
      if (entry.kind === 'question') entry.onSent?.()
      const operation = entry.kind === 'question' ? entry.operation : entry.encode()
      if (operation === undefined) settle(entry, undefined)
      else batch.push({ key, entry, operation })
      size += operation?.call.length ?? 0
    }
    return batch
  }

  async #send(batch: readonly Sent[]): Promise<'done' | 'new-member' | 'failed'> {
    const { runner, clock, keys, settings, joinOperation } = this.#parts
    this.#batchNumber += 1
    const number = this.#batchNumber
    const joining = this.#hasJoined ? [] : [joinOperation]
    const header = [this.#memberId, String(number), String(this.#confirmedNumber), this.#hasJoined ? '' : this.#predecessor, ...settings()]
    const operations = [...joining, ...batch.map(({ operation }) => operation)]
    this.#inFlight = batch
    this.#sentAt = clock.now()
    this.#watchDeadlines()
    let answer: BatchAnswer
    try {
      answer = await runner.run(keys(), [...header, ...operations.flatMap(({ call }) => [...call])], parseAnswer)
    } catch (error) {
      this.#requeue(batch)
      this.#fail(error)
      return 'failed'
    } finally {
      this.#deadline?.cancel()
      this.#inFlight = []
    }
    const { status, birth, rest } = answer
    const isSameState = this.#birth !== '' && this.#birth === birth
    if (status === 'done') {
      this.#confirmedNumber = Math.max(this.#confirmedNumber, number)
      this.#hasJoined = true
      this.#birth = birth
      const answers = rest as unknown[]
      if (joining.length > 0) joinOperation.onApplied?.(answers[0])
      for (const [place, { entry, operation }] of batch.entries()) settle(entry, answers[place + joining.length], operation)
      return 'done'
    }
    // This member has left, and the client library sent the batch again; or other members took it for dead before it left.
    if (status === 'dead' && batch.some(({ key }) => key === LEAVING)) {
      for (const { entry, operation } of batch) settle(entry, undefined, operation)
      return 'done'
    }
    // During a hold, the server may have lost the record that this member joined.
    const wasTakenForDead = status === 'dead' || (status === 'unknown' && isSameState && Number(rest) === 0)
    this.#becomeNewMember(batch, wasTakenForDead)
    return 'new-member'
  }

  /**
   * Ends the wait of callers that began to wait before the batch in flight was sent, each after its own `timeoutMs`. All other callers wait
   * until the batch ends. The batch has its own time-out.
   */
  #watchDeadlines(): void {
    const { clock, timeoutMs, runner } = this.#parts
    this.#deadline?.cancel()
    const waiting = [...this.#inFlight.map(({ entry }) => entry), ...this.#queue.values()]
    const early = waiting.filter((entry) => isAwaited(entry) && entry.since < this.#sentAt)
    if (early.length === 0) return
    const onDue = (): void => {
      const due = early.filter(({ since }) => since + timeoutMs <= clock.now())
      const message = `${runner.place} did not answer within ${timeoutMs} ms (timeoutMs)`
      for (const entry of due) giveUp(entry, new StoreError(message, { reason: 'unavailable' }))
      this.#watchDeadlines()
    }
    const dueAt = Math.min(...early.map(({ since }) => since)) + timeoutMs
    this.#deadline = clock.setTimeout(onDue, Math.max(0, dueAt - clock.now()))
  }

  /** Joins again, because the server does not know this member any more. All that it holds is reported before other entries are sent. */
  #becomeNewMember(batch: readonly Sent[], wasTakenForDead: boolean): void {
    if (this.#hasJoined) this.#predecessor = this.#memberId
    this.#memberId = makeRandomId()
    this.#batchNumber = 0
    this.#confirmedNumber = 0
    this.#hasJoined = false
    const later = this.#queue
    const questions: [Key, Entry][] = []
    this.#queue = new Map()
    for (const { key, entry } of batch) {
      if (entry.kind === 'question') questions.push([key, entry])
      // The slots of a dead member are released. Its entries and ends are still reported.
      else if (wasTakenForDead && /^[ls]:/.test(String(key))) for (const resolve of entry.waiters) resolve('dead')
      else this.#queue.set(key, entry)
    }
    this.#parts.onNewMember(wasTakenForDead)
    for (const [key, entry] of [...questions, ...later]) this.#merge(key, entry)
  }

  /** Puts a batch that was not confirmed back, before all entries that were added since. */
  #requeue(batch: readonly Sent[]): void {
    const later = this.#queue
    this.#queue = new Map(batch.map(({ key, entry }) => [key, entry]))
    for (const [key, entry] of later) this.#merge(key, entry)
  }

  #merge(key: Key, entry: Entry): void {
    const queued = this.#queue.get(key)
    if (queued?.kind === 'change' && entry.kind === 'change') {
      const awaited = [queued, entry].filter(({ waiters }) => waiters.length > 0)
      queued.since = Math.min(...awaited.map(({ since }) => since), this.#parts.clock.now())
      queued.waiters.push(...entry.waiters)
    } else this.#queue.set(key, entry)
  }

  /** Ends the wait of all callers, because Redis is unavailable. Changes stay in the queue until it answers. */
  #fail(error: unknown): void {
    for (const [key, entry] of this.#queue) {
      if (entry.kind === 'question') this.#queue.delete(key)
      giveUp(entry, error)
    }
    if (this.#queue.size > 0) this.#parts.runner.scheduleRetry()
  }
}

/** Whether a caller still waits for the entry. */
const isAwaited = (entry: Entry): boolean => (entry.kind === 'question' ? !entry.isOver : entry.waiters.length > 0)

/** Call it when Redis has applied the operation, or if there was nothing to report. */
function settle(entry: Entry, answer: unknown, operation?: Operation): void {
  operation?.onApplied?.(answer)
  if (entry.kind === 'question') entry.resolve(answer)
  else for (const resolve of entry.waiters) resolve('done')
}

/** Ends the wait of the entry's callers. A change must still be sent. */
function giveUp(entry: Entry, error: unknown): void {
  if (entry.kind === 'question') {
    entry.isOver = true
    entry.reject(error)
  } else for (const resolve of entry.waiters.splice(0)) resolve('unavailable')
}
