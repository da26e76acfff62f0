/** Replaces `node:worker_threads` with a module that starts no thread, as on a runtime that allows none. */
export async function withoutThreads(original: () => Promise<typeof import('node:worker_threads')>): Promise<object> {
  class Worker {
    constructor() {
      throw new Error('threads are not allowed here')
    }
  }
  return { ...(await original()), Worker }
}
