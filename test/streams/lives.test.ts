import { expect, test } from 'vitest'
import { isListed, lifeOf } from '../../src/streams/life.ts'

const session = {
  playbackSessionId: 'session "1"',
  statUrl: 'http://engine:19000/stat',
  commandUrl: 'http://engine:19000/cmd',
  isLive: true,
}
const event = { session, containerId: 'container-1' }
const facts = { startedAtUs: 1_767_225_600_123_456, lateStarts: 3, attempt: 1 }

test('proxies of one fleet write the life of a stream as the same text, whatever their versions', () => {
  expect(lifeOf({ event, ...facts })).toBe('368lvwddf6.26wb2c3ozxg.hefg8dwf9c.3.1')
  expect(lifeOf({ event: { session }, startedAtUs: undefined, lateStarts: 0 })).toBe('368lvwddf6...0.0')
})

test('the life of a stream is recognised in a list, on its engine or after a move', () => {
  const life = lifeOf({ event, ...facts })
  const listed = { ...session, id: 's', keyType: 'infohash', key: 'k', status: 'started', containerId: 'container-1' }
  expect(isListed(life, { ...listed, startedAtUs: facts.startedAtUs })).toBe(true)
  expect(isListed(life, { ...listed, containerId: 'container-2', startedAtUs: facts.startedAtUs })).toBe(true)
  expect(isListed(life, { ...listed, playbackSessionId: 'session 2', startedAtUs: facts.startedAtUs })).toBe(false)
})
