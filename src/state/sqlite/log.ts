import { readFileSync } from 'node:fs'

/** https://www.sqlite.org/fileformat.html#the_write_ahead_log */
const HEADER_BYTES = 32
const FRAME_HEADER_BYTES = 24
const SALT_OFFSET = 16
const FRAME_SALT_OFFSET = 8
const SALT_BYTES = 8

/** The numbers of the pages that a write-ahead log holds, up to its last commit. Frames of an earlier round, with other salts, do not count. */
export function pagesInLog(path: string, pageSize: number): ReadonlySet<number> {
  const log = readIfThere(path)
  const salt = log.subarray(SALT_OFFSET, SALT_OFFSET + SALT_BYTES)
  const [committed, pending] = [new Set<number>(), new Set<number>()]
  const frameBytes = FRAME_HEADER_BYTES + pageSize
  for (let offset = HEADER_BYTES; offset + frameBytes <= log.length; offset += frameBytes) {
    const frame = log.subarray(offset, offset + FRAME_HEADER_BYTES)
    if (!frame.subarray(FRAME_SALT_OFFSET, FRAME_SALT_OFFSET + SALT_BYTES).equals(salt)) break
    pending.add(frame.readUInt32BE(0))
    const isCommit = frame.readUInt32BE(4) !== 0
    if (!isCommit) continue
    for (const page of pending) committed.add(page)
    pending.clear()
  }
  return committed
}

function readIfThere(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch {
    return Buffer.alloc(0)
  }
}
