import { describe, expect, it } from 'vitest'
import { formatPlaylist, parsePlaylist } from '../../examples/proxy/playlist.ts'
import { Timeline } from '../../examples/proxy/timeline.ts'

/** Rewrites a playlist. Names are the last part of a URI, with the kind. */
function rewritten(lines: readonly string[], prefix = 'hls/'): string[] {
  const playlist = parsePlaylist(lines.join('\n'), (uri, kind) => `${kind}-${uri.replace(/.*\//, '')}`)
  return formatPlaylist(playlist, prefix).trimEnd().split('\n')
}

describe('a playlist that is sent to a viewer', () => {
  it('has the tags of RFC 8216 and the names of all files: segments, keys and initialization sections', () => {
    const lines = [
      '#EXTM3U',
      '#EXT-X-VERSION:6',
      '#EXT-X-TARGETDURATION:4',
      '#EXT-X-MEDIA-SEQUENCE:7',
      '#EXT-X-DISCONTINUITY-SEQUENCE:2',
      '#EXT-X-KEY:METHOD=AES-128,URI="http://engine:6878/k/1.key",IV=0x1',
      '#EXT-X-MAP:URI="/init.mp4"',
      '#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00Z',
      '#EXTINF:4.0,',
      'http://engine:6878/ace/c/s/7.ts',
      '#EXT-X-DISCONTINUITY',
      '#EXTINF:3.5,',
      '8.ts',
      '#EXT-X-ENDLIST',
    ]
    expect(rewritten(lines)).toEqual([
      ...lines.slice(0, 5),
      '#EXT-X-KEY:METHOD=AES-128,URI="hls/file-1.key",IV=0x1',
      '#EXT-X-MAP:URI="hls/file-init.mp4"',
      ...lines.slice(7, 9),
      'hls/file-7.ts',
      ...lines.slice(10, 12),
      'hls/file-8.ts',
      '#EXT-X-ENDLIST',
    ])
  })

  it('names nested playlists, also those of other languages', () => {
    const lines = [
      '#EXTM3U',
      '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",URI="http://engine/en.m3u8"',
      '#EXT-X-STREAM-INF:BANDWIDTH=1000,AUDIO="a"',
      'low.m3u8',
      '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=10,URI="frames.m3u8"',
    ]
    expect(rewritten(lines, '')).toEqual([
      '#EXTM3U',
      '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",URI="playlist-en.m3u8"',
      '#EXT-X-STREAM-INF:BANDWIDTH=1000,AUDIO="a"',
      'playlist-low.m3u8',
      '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=10,URI="playlist-frames.m3u8"',
    ])
  })

  it('has nothing that may name the engine: comments, titles, unknown tags, and addresses in attributes', () => {
    const secret = 'http://engine:6878/secret'
    const lines = [
      '\uFEFF#EXTM3U\r',
      `# ${secret}`,
      `#EXT-X-SERVER-URI:${secret}`,
      `#EXT-X-START:TIME-OFFSET=1,X-URL="${secret}"`,
      '#EXT-X-PART:DURATION=1,URI="part.ts"',
      `#EXTINF:4.0,${secret}\r`,
      'a.ts\r',
    ]
    expect(rewritten(lines)).toEqual(['#EXTM3U', '#EXT-X-MEDIA-SEQUENCE:0', '#EXTINF:4.0,', 'hls/file-a.ts'])
  })

  it.each([
    ['a web page', '<html>#EXTM3U'],
    ['nothing', ''],
    ['another tag', '#EXTM3U8'],
  ])('is a dead content if the engine sends %s instead', (_, text) => {
    expect(() => parsePlaylist(text, (uri) => uri)).toThrow('the engine sent no playlist')
  })

  it.each(['#EXT-X-BYTERANGE:10@0', '#EXT-X-MAP:URI="a",BYTERANGE="10@0"'])('is refused if it needs byte ranges (%s)', (tag) => {
    expect(() => rewritten(['#EXTM3U', tag, 'a.ts'])).toThrow('byte ranges')
  })
})

describe('a timeline', () => {
  const playlist = (sequence: number, entries: readonly (readonly string[])[], discontinuitySequence = 0) => ({
    isMaster: false,
    head: [],
    entries,
    sequence,
    discontinuitySequence,
    isComplete: false,
  })
  const cut = '#EXT-X-DISCONTINUITY'

  it('leaves the first session as it is, with its own discontinuities', () => {
    const timeline = new Timeline()
    const first = playlist(7, [['a'], [cut, 'b']], 3)
    expect(timeline.place({}, first)).toEqual(first)
  })

  it('counts each discontinuity once, whether the engine or the change of the engine made it', () => {
    const timeline = new Timeline()
    const [one, two, three] = [{}, {}, {}]
    timeline.place(one, playlist(7, [['a'], [cut, 'b']], 3)) // the discontinuities 0 to 3 are over with b
    expect(timeline.place(two, playlist(100, [['c'], ['d']], 50))).toMatchObject({
      sequence: 9,
      discontinuitySequence: 4,
      entries: [[cut, 'c'], ['d']],
    })
    expect(timeline.place(two, playlist(101, [['d'], [cut, 'e']], 50))).toMatchObject({ sequence: 10, discontinuitySequence: 5 })
    expect(timeline.place(three, playlist(0, [['f']]))).toMatchObject({ sequence: 12, discontinuitySequence: 6, entries: [[cut, 'f']] })
  })

  it('marks a segment that begins with a discontinuity of the engine once', () => {
    const timeline = new Timeline()
    timeline.place({}, playlist(0, [['a']]))
    expect(timeline.place({}, playlist(5, [[cut, 'b']]))).toMatchObject({ sequence: 1, entries: [[cut, 'b']] })
  })

  it('does not go back if an older playlist of the same session comes late', () => {
    const timeline = new Timeline()
    const [one, two] = [{}, {}]
    timeline.place(one, playlist(1, [['b'], ['c']]))
    expect(timeline.place(one, playlist(0, [['a'], ['b']]))).toMatchObject({ sequence: 0 })
    expect(timeline.place(two, playlist(0, [['d']]))).toMatchObject({ sequence: 3 })
  })
})
