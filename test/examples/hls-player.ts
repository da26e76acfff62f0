import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import { onTestFinished } from 'vitest'
import { answerTo, get } from './player.ts'
import { infohash } from './stage.ts'

/** A playlist as a player reads it. */
export interface PlayerPlaylist {
  readonly url: string
  readonly text: string
  readonly sequence: number
  /** The absolute URLs of the segments. */
  readonly segments: readonly string[]
  /** The numbers of the segments that begin after a discontinuity. */
  readonly breaks: readonly number[]
  readonly discontinuitySequence: number
}

/** Requests the playlist of a content. */
export async function playlistOf(proxyUrl: string, path = `/ace/manifest.m3u8?infohash=${infohash()}`): Promise<PlayerPlaylist> {
  const url = new URL(path, `${proxyUrl}/`).href
  const answer = await answerTo(get(url))
  const text = await textOf(answer)
  if (answer.statusCode !== 200) throw new Error(`status ${answer.statusCode}: ${text}`)
  return read(url, text)
}

/** Requests a URL, and reads the answer. */
export async function fetchText(url: string): Promise<{ status: number | undefined; text: string; headers: http.IncomingHttpHeaders }> {
  const answer = await answerTo(get(url))
  return { status: answer.statusCode, text: await textOf(answer), headers: answer.headers }
}

/** Requests a URL, and reads nothing until the test does. The connection is closed when the test is over. */
export async function stoppedRequest(url: string): Promise<IncomingMessage> {
  const request = http.get(url, { agent: false }).on('error', () => undefined)
  onTestFinished(() => void request.destroy())
  const [answer] = (await once(request, 'response')) as [IncomingMessage]
  return answer.on('error', () => undefined)
}

function read(url: string, text: string): PlayerPlaylist {
  const lines = text.split('\n')
  const numberOf = (tag: string): number => Number(lines.find((line) => line.startsWith(tag))?.slice(tag.length) ?? 0)
  const sequence = numberOf('#EXT-X-MEDIA-SEQUENCE:')
  const segments: string[] = []
  const breaks: number[] = []
  for (const line of lines) {
    if (line === '#EXT-X-DISCONTINUITY') breaks.push(sequence + segments.length)
    if (line !== '' && !line.startsWith('#')) segments.push(new URL(line, url).href)
  }
  return { url, text, sequence, segments, breaks, discontinuitySequence: numberOf('#EXT-X-DISCONTINUITY-SEQUENCE:') }
}

/** Reads an answer to its end. */
export async function textOf(answer: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of answer.setEncoding('utf8')) text += chunk
  return text
}
