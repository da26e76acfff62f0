import { ContentError } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import type { EngineSource } from '../../examples/proxy/engine-source.ts'
import type { HlsChannel } from '../../examples/proxy/hls-channel.ts'
import { HlsChannels } from '../../examples/proxy/hls-channels.ts'
import { MAIN } from '../../examples/proxy/hls-playback.ts'
import { HELD_MS, holdTimers } from '../support/held-timers.ts'

const SILENT = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
const NEVER = new AbortController().signal
const contentOf = (key: string) => ({ keyType: 'infohash', key }) as const

/** Channels whose contents are dead, except for those that begin with `alive`. */
function channelsOf() {
  /** The contents that were opened, in this order. */
  const opened: string[] = []
  let left = 0
  const lost = new AbortController()
  const playlist = { isMaster: false, head: [], entries: [], sequence: 0, discontinuitySequence: 0, isComplete: false }
  const joinStream = async ({ key }: { key: string }) => {
    opened.push(key)
    if (!key.startsWith('alive')) throw new ContentError('dead')
    const playback = { isOver: false, playlist: async () => playlist }
    return { isFirst: true, leave: async () => void left++, stream: { id: key, playback, lost: lost.signal } }
  }
  const source = { joinStream, metrics: () => ({}), close: async () => ({ delivered: 0, undelivered: [] }) } as unknown as EngineSource
  const times = { headerTimeoutMs: 1, idleTimeoutMs: 1, stopTimeoutMs: 1, slowViewerTimeoutMs: 1, playlistAgeMs: 0, capacityTimeoutMs: 0 }
  const figures = { rescued: 0, cutOff: 0, tooSlow: 0 }
  const channels = new HlsChannels({ ...times, scheme: 'http', figures, log: SILENT, hlsTimeoutMs: HELD_MS })
  const used: HlsChannel[] = []
  const play = (...keys: string[]) =>
    channels.use(keys.map(contentOf), (channel) => {
      used.push(channel)
      return channel.playlist(MAIN, source, NEVER)
    })
  return { channels, opened, used, play, lose: () => lost.abort(), leftCount: () => left }
}

describe('the channels of HLS', () => {
  it('keep nothing of a content that never played', async () => {
    const { channels, used, play } = channelsOf()
    await expect(play('dead')).rejects.toThrow('dead')
    expect(channels.find(used[0]?.token ?? '')).toBeUndefined()
  })

  it('keep a channel until no request came for the time limit, and then nothing of it', async () => {
    const idle = holdTimers()
    const { channels, used, play, leftCount } = channelsOf()
    await play('alive')
    const [channel] = used
    expect(channels.find(channel?.token ?? '')).toBe(channel)
    idle.fire()
    expect([channels.find(channel?.token ?? ''), leftCount()]).toEqual([undefined, 1])
    await play('alive')
    expect(used[1]).not.toBe(channel)
  })

  it('leave a stream that is lost, once, when the next request joins another one', async () => {
    const { opened, play, lose, leftCount } = channelsOf()
    await play('alive')
    lose()
    await play('alive')
    expect([opened, leftCount()]).toEqual([['alive', 'alive'], 1])
  })

  it('remember the alternatives of 1,000 dead contents', async () => {
    const { opened, play } = channelsOf()
    for (let dead = 0; dead <= 1_000; dead++) await play(`dead ${dead}`, 'alive')
    opened.length = 0
    await play('dead 1', 'alive')
    expect(opened).toEqual([])
    await play('dead 0', 'alive')
    expect(opened).toEqual(['dead 0'])
  })
})
