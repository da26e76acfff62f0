import { once } from 'node:events'
import net from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { attack, EVIL, recordConnections } from './attacker.ts'
import { expectNothingLeft } from './nothing-left.ts'
import { answerTo, get, send } from './player.ts'
import { eventually, stage } from './stage.ts'

describe('the record of connections', () => {
  it('has every host that this process looks up or connects to', async () => {
    const connections = recordConnections()
    await fetch(`http://${EVIL}/`).catch(() => undefined)
    await fetch('http://127.0.0.1:9/').catch(() => undefined)
    await once(get(`http://${EVIL}:81/`), 'error')
    net.connect(7, '127.0.0.1').on('error', () => undefined)
    await eventually(() => expect([...connections].sort()).toEqual(['127.0.0.1:7', EVIL]))
  })
})

describe('a proxy under attack', () => {
  it('answers 300 random requests, keeps nothing of them, and connects to no host that a viewer names', async () => {
    const connections = recordConnections()
    const world = await stage({ engineCount: 2, client: { maxStreamsPerEngine: 8 }, proxy: { hlsTimeoutMs: 1 } })
    const counts = await attack(world.url, { count: 300, seed: 1 })
    expect(Object.keys(counts).sort()).toEqual(['200', '204', '400', '404', '405', 'none'])
    await expectNothingLeft(world, connections)
    // The attack proves something only if many of its requests reached an engine.
    expect(world.engines.reduce((sum, { opened }) => sum + opened, 0)).toBeGreaterThan(10)
    expect((await fetch(`${world.url}/healthz`)).status).toBe(200)
  })

  it.each([
    ['the URL of a torrent', `/ace/getstream?url=http://${EVIL}/a.torrent`],
    ['a tracker in a magnet link', `/ace/getstream?magnet=${encodeURIComponent(`magnet:?xt=urn:btih:a&tr=http://${EVIL}/`)}`],
    ['a request in absolute form', `http://${EVIL}/ace/getstream?id=a`],
    ['an alternative', `/ace/getstream?id=dead&alt=${encodeURIComponent(`http://${EVIL}/`)}`],
    ['an id', `/content_id/${encodeURIComponent(`http://${EVIL}/`)}`],
  ])('plays from an engine, and never connects to the host in %s', async (_, target) => {
    const connections = recordConnections()
    const world = await stage()
    world.engines[0]?.deadContents.add('dead')
    const request = send(world.url, 'GET', target, { host: EVIL, 'x-forwarded-host': EVIL })
    const answer = await answerTo(request)
    expect(answer.statusCode).toBe(200)
    await once(answer, 'data')
    request.destroy()
    await expectNothingLeft(world, connections)
  })

  it('sends status 408 to 50 viewers with slow headers, and serves another viewer meanwhile', async () => {
    const world = await stage({ proxy: { limits: { headersTimeoutMs: 300 } } })
    const { hostname, port } = new URL(world.url)
    const slow = Array.from({ length: 50 }, async () => {
      const socket = net.connect(Number(port), hostname).on('error', () => undefined)
      onTestFinished(() => void socket.destroy())
      socket.write('GET /ace/getstream?id=a HTTP/1.1\r\nHost: ')
      const [data] = (await once(socket, 'data')) as [Buffer]
      return String(data).slice(0, 12)
    })
    const request = get(`${world.url}/content_id/a`)
    expect((await answerTo(request)).statusCode).toBe(200)
    expect(new Set(await Promise.all(slow))).toEqual(new Set(['HTTP/1.1 408']))
    expect(world.proxy.viewers).toBe(1)
    request.destroy()
    await expectNothingLeft(world)
  })

  it('closes a connection that sends headers without end', async () => {
    const world = await stage()
    const { hostname, port } = new URL(world.url)
    const socket = net.connect(Number(port), hostname).on('error', () => undefined)
    onTestFinished(() => void socket.destroy())
    const closed = new Promise((resolve) => void socket.once('close', resolve))
    socket.write('GET / HTTP/1.1\r\n')
    const pour = (): void => {
      while (!socket.destroyed && socket.write(`X-A: ${'a'.repeat(1_000)}\r\n`)) {}
    }
    socket.on('drain', pour)
    pour()
    await closed
    await expectNothingLeft(world)
  })
})
