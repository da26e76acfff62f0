import { readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { describe, expect, it, vi } from 'vitest'
import { isWindows } from '../../support/platform.ts'
import { DAMAGES, type Image, images, opened, PAGE_BYTES, tally } from './damage.ts'
import { newPath, open } from './files.ts'

// On the event loop: each call has written the file when it returns.
vi.mock(import('node:worker_threads'), async (original) => (await import('./without-threads.ts')).withoutThreads(original))

describe.each(['closed', 'killed'] as const)('a state file whose process was %s', (how) => {
  it.each(Object.keys(DAMAGES))('never opens with other rows after %s', (kind) => {
    const counts = tally(images()[how], kind, { seed: 1, times: 8 })
    expect(counts['silent'], JSON.stringify(counts)).toBeUndefined()
  })

  it('is refused as corrupt when it is cut off at a page boundary or within a page', () => {
    const path = newPath()
    const { main, log } = images()[how]
    const lengths = [1, 15, 99, 100, 101, 511, 512]
    for (let page = 1; page * PAGE_BYTES < main.length; page += 1) lengths.push(page * PAGE_BYTES, page * PAGE_BYTES + 1 + page * 7)
    lengths.push(main.length - 1)
    const found = new Map(lengths.map((length) => [length, opened(path, { main: main.subarray(0, length), log })]))
    expect(found).toEqual(new Map(lengths.map((length) => [length, { reason: 'corrupt' }])))
  })
})

it('an empty state file is refused as corrupt and its log is kept if the log has content, and is opened as a new file if its log is empty too', () => {
  const { log } = images().killed
  const path = newPath()
  const image: Image = { main: Buffer.alloc(0), log }
  expect(opened(path, image)).toEqual({ reason: 'corrupt' })
  expect(readFileSync(`${path}-wal`).equals(log ?? Buffer.alloc(0))).toBe(true)
  expect(opened(path, { ...image, log: Buffer.alloc(0) })).toEqual({ contents: '[[],[]]' })
})

it.skipIf(isWindows)('a state file that is opened through a symbolic link is complete after its process was killed', () => {
  const [path, link] = [newPath(), newPath()]
  const { killed } = images()
  const whole = opened(path, killed)
  writeFileSync(path, killed.main)
  writeFileSync(`${path}-wal`, killed.log ?? '')
  symlinkSync(path, link)
  open(link).close()
  expect(opened(newPath(), { main: readFileSync(path), log: undefined })).toEqual(whole)
})

it('a state file is complete after a crash during a checkpoint, which wrote only a part of the last page', () => {
  const path = newPath()
  const { main, log } = images().killed
  const whole = opened(path, { main, log })
  // The checkpoint copied a page of the log to the end of the file, and only a part of the page arrived.
  expect(opened(path, { main: Buffer.concat([main, Buffer.alloc(1_000)]), log })).toEqual(whole)
})
