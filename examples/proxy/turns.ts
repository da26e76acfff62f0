import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** How many requests of one connection may wait. Players do not pipeline; one that sends more is closed. */
const MAX_WAITING = 16

/** The requests of one connection. */
interface Line {
  waiting: number
  /** Resolves when the last request of the line is over. */
  last: Promise<void>
}

/**
 * Passes the requests of one connection to `serve` one after the other. Node passes pipelined requests at once, although their responses
 * wait for each other: each of them would hold a slot, and all but one would send nothing.
 */
export function inTurn(serve: (request: IncomingMessage, response: ServerResponse) => void) {
  const lines = new WeakMap<Socket, Line>()

  async function serveAfter(before: Promise<void>, line: Line, request: IncomingMessage, response: ServerResponse): Promise<void> {
    await before
    line.waiting--
    // The response of a request that still waits emits no event when the connection closes.
    if (request.socket.destroyed) return
    // The response before may have set a time limit. Node resets it only if no other request waits.
    request.socket.setTimeout(0)
    const closed = closeOf(response)
    serve(request, response)
    await closed
  }

  return (request: IncomingMessage, response: ServerResponse): void => {
    const { socket } = request
    const line = lines.get(socket)
    if (line === undefined) {
      lines.set(socket, { waiting: 0, last: closeOf(response) })
      serve(request, response)
    } else if (line.waiting >= MAX_WAITING) {
      socket.destroy()
    } else {
      line.waiting++
      line.last = serveAfter(line.last, line, request, response)
    }
  }
}

/** Resolves when the response was sent, or its connection closed. */
function closeOf(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => void response.once('close', resolve))
}
