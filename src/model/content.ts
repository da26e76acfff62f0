import type { StreamStart } from './stream.ts'

/** A content: a channel or a file. A content id and an infohash are never the same content. */
export type Content = Readonly<Pick<StreamStart, 'keyType' | 'key'>>

/** The text that two contents share exactly if they are the same. No key type has a colon, so it is unambiguous. */
export function contentKeyOf({ keyType, key }: Content): string {
  return `${keyType}:${normalizeKey(key)}`
}

/** The key in one notation. Infohashes and content ids, 40 hexadecimal digits, are compared without case. */
export function normalizeKey(key: string): string {
  return /^[0-9a-f]{40}$/i.test(key) ? key.toLowerCase() : key
}
