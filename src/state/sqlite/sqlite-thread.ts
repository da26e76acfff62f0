/**
 * The thread that writes a state file. It opens the file, which locks it, and is the only thread that touches it. It ends when the file is
 * closed.
 */
import { workerData } from 'node:worker_threads'
import type { Logger } from '../../runtime/logger.ts'
import { toStoreError } from './failures.ts'
import { type Found, StateFile } from './state-file.ts'
import {
  ANSWERED,
  applyChange,
  type FromThread,
  PHASE,
  RUNNING,
  STARTING,
  type ThreadData,
  type ToThread,
  toFailure,
} from './thread-messages.ts'

const { path, port, signal } = workerData as ThreadData

const post = (message: FromThread): void => port.postMessage(message)

/** Wakes the store, which may be waiting for this answer. Post the answer before. */
function noteAnswer(question: number): void {
  Atomics.store(signal, ANSWERED, question)
  Atomics.notify(signal, ANSWERED)
}

const line =
  (level: 'info' | 'warn'): Logger['info'] =>
  (message, fields = {}) => {
    const failure = 'error' in fields ? { failure: toFailure(toStoreError(path, fields.error)) } : {}
    post({ kind: 'line', level, message, ...failure })
  }
const logger: Logger = { debug: () => {}, info: line('info'), warn: line('warn'), error: () => {} }

function open(): StateFile | undefined {
  let isOpen = false
  const onFound = (found: Found): void => post({ kind: isOpen ? 'found' : 'opened', found })
  try {
    const file = new StateFile({ path, logger: () => logger, onFound })
    isOpen = true
    return file
  } catch (error) {
    post({ kind: 'failed', failure: toFailure(toStoreError(path, error)) })
    return undefined
  }
}

function serve(file: StateFile, message: ToThread): void {
  if (message.kind === 'write') {
    for (const change of message.changes) applyChange(file, change)
    file.save()
    post({ kind: 'saved' })
  } else if (message.kind === 'check') {
    post({ kind: 'current', isCurrent: file.isCurrent })
    noteAnswer(message.question)
  } else {
    file.close()
    noteAnswer(message.question)
    // Then the thread has nothing to wait for, and ends.
    port.close()
  }
}

// If the store does not wait any more, it writes the file itself.
if (Atomics.compareExchange(signal, PHASE, STARTING, RUNNING) === STARTING) {
  Atomics.notify(signal, PHASE)
  const file = open()
  if (file !== undefined) port.on('message', (message: ToThread) => serve(file, message))
  noteAnswer(1)
}
