import { ContentError } from 'acestream-orchestrator-client'
import type { Content } from './content.ts'

/**
 * Plays the first content that is not dead.
 *
 * @param play tries one content
 * @throws the error of `play` that is no `ContentError`, or the `ContentError` of the last content
 */
export async function firstAlive<T>(contents: readonly Content[], play: (content: Content) => Promise<T>): Promise<T> {
  let dead: unknown
  for (const content of contents) {
    try {
      return await play(content)
    } catch (error) {
      if (!(error instanceof ContentError)) throw error
      dead = error
    }
  }
  throw dead
}
