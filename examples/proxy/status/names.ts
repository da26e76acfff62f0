import { createHmac, randomBytes } from 'node:crypto'
import type { Engine, HostEngine } from 'acestream-orchestrator-client'
import type { AskedContent } from './activity.ts'

const FINGERPRINT_LENGTH = 6
const CONTAINER_ID_LENGTH = 12

/** Names contents on the status page. */
export interface ContentNames {
  nameOf(content: AskedContent): string
}

/**
 * Creates names of contents. With details a name is the key itself. Otherwise it is a short hash, whose secret only this process knows:
 * nobody can find the key of a channel with it, not even by trying known keys.
 */
export function contentNames(showsDetails: boolean): ContentNames {
  const secret = randomBytes(32)
  return {
    nameOf({ keyType, key, variant }) {
      if (showsDetails) return variant === undefined ? key : `${key} (${variant})`
      const hash = createHmac('sha256', secret)
        .update(JSON.stringify([keyType, key, variant]))
        .digest('hex')
      return hash.slice(0, FINGERPRINT_LENGTH)
    },
  }
}

/** The name of a listed engine. */
export function engineName({ containerName, containerId }: Pick<Engine, 'containerName' | 'containerId'>): string {
  return containerName || containerId.slice(0, CONTAINER_ID_LENGTH)
}

/** The name of an engine that is not listed. */
export function addressName({ host, port }: HostEngine): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
