/** The key in one notation. Infohashes and content ids, 40 hexadecimal digits, are compared without case. */
export function normalizeKey(key: string): string {
  return /^[0-9a-f]{40}$/i.test(key) ? key.toLowerCase() : key
}
