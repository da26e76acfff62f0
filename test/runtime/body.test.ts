import { expect, test } from 'vitest'
import { MalformedResponseError } from '../../src/errors.ts'
import { MAX_BODY_BYTES, readBody } from '../../src/runtime/body.ts'

const bytes = new TextEncoder().encode('["漢字"]')
const untilEnd = new AbortController().signal

test('a character whose bytes arrive in two chunks is decoded correctly', async () => {
  const response = new Response(ReadableStream.from([bytes.slice(0, 3), bytes.slice(3, 4), bytes.slice(4)]))
  expect(await readBody(response, untilEnd, 'GET /x')).toBe('["漢字"]')
})

test('a body that ends within a character ends with a replacement character', async () => {
  expect(await readBody(new Response(bytes.slice(0, 4)), untilEnd, 'GET /x')).toBe('["\uFFFD')
})

test('a response without a body is read as an empty string', async () => {
  expect(await readBody(new Response(null, { status: 204 }), untilEnd, 'GET /x')).toBe('')
})

/** A body that never ends. `begun` resolves at its first chunk, `cancelled` when its reader cancels it. */
function endless(chunk: Uint8Array<ArrayBuffer>): { response: Response; cancelled: Promise<void>; begun: Promise<void> } {
  const cancelled = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull: async (controller) => {
      controller.enqueue(chunk.slice())
      begun.resolve()
      if (chunk.byteLength === 1) await cancelled.promise
    },
    cancel: () => cancelled.resolve(),
  })
  return { response: new Response(stream), cancelled: cancelled.promise, begun: begun.promise }
}

test('a body above the size limit is rejected and cancelled', async () => {
  const { response, cancelled } = endless(new Uint8Array(MAX_BODY_BYTES / 4))
  await expect(readBody(response, untilEnd, 'GET /x')).rejects.toThrow(MalformedResponseError)
  await expect(cancelled).resolves.toBeUndefined()
})

test('an abort of the request cancels its body, also if it comes before the first read', async () => {
  const controller = new AbortController()
  const { response, cancelled, begun } = endless(new Uint8Array(1))
  const reading = readBody(response, controller.signal, 'GET /x')
  await begun
  controller.abort('left')
  await cancelled
  await expect(reading).rejects.toBe('left')
  const late = endless(new Uint8Array(1))
  await expect(readBody(late.response, controller.signal, 'GET /x')).rejects.toBe('left')
  await expect(late.cancelled).resolves.toBeUndefined()
})
