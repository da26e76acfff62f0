/** A null packet of MPEG-TS, which players skip: sync byte, PID 0x1fff, and an empty payload. */
const NULL_PACKET = Buffer.alloc(188, 0xff).fill(Buffer.from([0x47, 0x1f, 0xff, 0x10]), 0, 4)

/** Returns video without pictures or sound. */
export function nullPackets(count: number): Buffer {
  return Buffer.concat(Array.from({ length: count }, () => NULL_PACKET))
}
