import type { HostEngine, OpenContext } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import type { EngineSource, JoinOptions } from '../../examples/proxy/engine-source.ts'
import { Activity, presentViewers } from '../../examples/proxy/status/activity.ts'
import { answerTo, send } from './player.ts'
import { eventually, infohash, type Stage, type StageOptions, stage } from './stage.ts'

const MANIFEST = `/ace/manifest.m3u8?infohash=${infohash()}`
const VIEWERS = ['203.0.113.7', '203.0.113.8', '203.0.113.9']

/** Requests a path as the viewer with this address. */
async function request(url: string, path: string, address: string): Promise<string> {
  const answer = await answerTo(send(url, 'GET', path, { 'x-forwarded-for': address }))
  let text = ''
  for await (const chunk of answer.setEncoding('utf8')) text += chunk
  return text
}

function proxyStage(options: StageOptions['proxy'] = {}): Promise<Stage> {
  return stage({ proxy: { isProxyTrusted: true, status: { showsDetails: true }, ...options } })
}

/** The row of the only content: name with addresses, engine, number of viewers, state. */
async function contentRow(url: string): Promise<string[]> {
  const page = await (await fetch(url)).text()
  const [, row = ''] = /<table class="contents">.*?<tbody><tr[^>]*>(.*?)<\/tr><\/tbody>/s.exec(page) ?? []
  return row.split(/<\/t[hd]>/).map((cell) => cell.replaceAll(/<[^>]*>/g, ' ').trim())
}

describe('viewers of HLS on the status page', () => {
  it('count by address, for a playlist and for a segment', async () => {
    const { url } = await proxyStage()
    const [first = '', second = '', third = ''] = VIEWERS
    const playlist = await request(url, MANIFEST, first)
    await request(url, MANIFEST, first)
    expect((await contentRow(url)).slice(0, 4)).toEqual([`${infohash()} (hls) ${first}`, 'acestream-1', '1', 'playing'])
    const [segment = ''] = /^\.\.\/hls\/.*$/m.exec(playlist) ?? []
    await request(url, segment.slice('..'.length), second)
    expect((await contentRow(url)).slice(0, 4)).toEqual([`${infohash()} (hls) ${first}, ${second}`, 'acestream-1', '2', 'playing'])
    await request(url, MANIFEST, third)
    expect((await contentRow(url)).slice(2, 4)).toEqual(['3', 'playing'])
    const page = await (await fetch(url)).text()
    expect(page).toMatch(/<dt>Viewers<\/dt><dd class="value">3<\/dd>/)
  })

  it('count no longer when they have requested nothing for the time limit of a session', async () => {
    const { url } = await proxyStage({ hlsTimeoutMs: 1 })
    await request(url, MANIFEST, VIEWERS[0] ?? '')
    await eventually(async () => expect(await contentRow(url)).toEqual(['']))
  })

  it('wait in the line with their address', async () => {
    const { url, client } = await proxyStage({ capacityTimeoutMs: 600_000 })
    await request(url, MANIFEST, VIEWERS[0] ?? '')
    send(url, 'GET', `/ace/manifest.m3u8?infohash=${infohash(2)}`, { 'x-forwarded-for': VIEWERS[1] ?? '' })
    await eventually(() => expect(client.metrics().leases.waiting).toBe(1))
    const page = await (await fetch(url)).text()
    expect(page).toMatch(new RegExp(`<table class="waiting">.*${infohash(2)} \\(hls\\).*${VIEWERS[1]}`, 's'))
  })
})

describe('the visitors of a session', () => {
  /** A session that plays for HLS. */
  async function activityWith(visitMs: number) {
    const joinStream = async (options: JoinOptions<object>) => {
      const { playback } = await options.open({ host: 'engine', port: 1, containerId: 'a' } as HostEngine, {} as OpenContext)
      return { stream: { id: 'a', playback, lost: new AbortController().signal }, isFirst: true, leave: async () => {} }
    }
    const activity = new Activity({ joinStream } as unknown as EngineSource, () => {})
    /** Opens a session of a content. */
    async function join(key = 'a'): Promise<object> {
      const playback = {}
      const open = async () => ({ playback, session: { playbackSessionId: 'a' } })
      await activity.sourceFor('first', visitMs).joinStream({ keyType: 'content_id', key, open } as unknown as JoinOptions<object>)
      return playback
    }
    return { activity, join, playback: await join() }
  }
  const addressesOf = ({ sessions }: Activity): (string | undefined)[] =>
    [...sessions].flatMap((session) => presentViewers(session).map(({ address }) => address))

  it('count from the join on, and only for their time', async () => {
    const { activity, playback } = await activityWith(600_000)
    expect(addressesOf(activity)).toEqual(['first'])
    activity.visit(playback, 'second', 0)
    expect(addressesOf(activity)).toEqual(['first'])
    activity.visit(playback, 'second', 600_000)
    activity.visit({}, 'third', 600_000)
    expect(addressesOf(activity)).toEqual(['first', 'second'])
  })

  it('count once when another session plays their content, while the old one is being stopped', async () => {
    const { activity, join, playback } = await activityWith(600_000)
    activity.visit(playback, 'second', 600_000)
    const next = await join()
    expect(addressesOf(activity)).toEqual(['second', 'first'])
    activity.visit(next, 'second', 600_000)
    expect(addressesOf(activity)).toEqual(['first', 'second'])
    await join('b')
    expect(addressesOf(activity)).toEqual(['first', 'second', 'first'])
  })

  it('are at most 1,000, and the one that requested longest ago is forgotten', async () => {
    const { activity, playback } = await activityWith(600_000)
    for (let number = 1; number < 1_000; number++) activity.visit(playback, String(number), 600_000)
    activity.visit(playback, 'first', 600_000)
    activity.visit(playback, 'last', 600_000)
    const addresses = addressesOf(activity)
    expect([addresses.length, addresses.includes('first'), addresses.includes('1')]).toEqual([1_000, true, false])
  })
})
