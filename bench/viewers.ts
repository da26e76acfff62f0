/**
 * Measures the video of the reference proxy: many viewers of one content, against a process that only pipes. The server has a process of its own. The
 * engine and the viewers are in this process, so that they share a clock.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { median } from './frame/measure.ts'
import type { Figure, Group, Line, Row } from './frame/row.ts'
import { BYTES_PER_S, videoSource } from './video/source.ts'
import type { Cost, Start } from './video/subject.ts'

const VIEWERS = 500
const SECONDS = 5
const WARM_UP_MS = 2_000
const ROUNDS = 3
const MS_PER_S = 1_000
const US_PER_MS = 1_000
const MEBIBYTE = 1024 * 1024

/** What one server costs with so many viewers. */
interface VideoCost {
  /** Milliseconds of CPU time for a second of video. */
  cpuMs: number
  memoryMiB: number
  /** The part of it that came with the viewers. */
  viewersMiB: number
  /** The mean age of the video when it reaches the viewer for whom that is the longest, milliseconds. */
  lagMs: number
  /** Part of the video that arrived: below 1 the machine is too slow. */
  delivered: number
}

/** A viewer, and what it got since the last reset. */
interface Watching {
  bytes: number
  arrivals: number
  ageMs: number
  leave(): void
}

/** Measures a server. */
async function costOf(kind: 'proxy' | 'pipe', viewerCount: number): Promise<VideoCost> {
  const source = await videoSource()
  const server = fork(new URL('./video/subject.ts', import.meta.url), [kind, `${source.port}`], {
    execArgv: ['--disable-warning=ExperimentalWarning'],
  })
  const [{ url, idleBytes }] = (await once(server, 'message')) as [Start]
  const costSince = async (): Promise<Cost> => {
    const answer = once(server, 'message')
    server.send('cost')
    return (await answer)[0] as Cost
  }
  const viewers = await Promise.all(Array.from({ length: viewerCount }, () => watch(url, source.ageMs)))
  await sleep(WARM_UP_MS)
  await costSince()
  for (const viewer of viewers) Object.assign(viewer, { bytes: 0, arrivals: 0, ageMs: 0 })
  const since = performance.now()
  await sleep(SECONDS * MS_PER_S)
  const { cpuUs, memoryBytes } = await costSince()
  const seconds = (performance.now() - since) / MS_PER_S
  const cost = {
    cpuMs: cpuUs / US_PER_MS / seconds,
    memoryMiB: memoryBytes / MEBIBYTE,
    viewersMiB: (memoryBytes - idleBytes) / MEBIBYTE,
    lagMs: Math.max(...viewers.map(({ ageMs, arrivals }) => ageMs / arrivals)),
    delivered: viewers.reduce((sum, { bytes }) => sum + bytes, 0) / (viewerCount * BYTES_PER_S * seconds),
  }
  for (const viewer of viewers) viewer.leave()
  server.disconnect()
  source.close()
  await once(server, 'exit')
  return cost
}

async function watch(url: string, ageOf: (byte: number) => number): Promise<Watching> {
  const request = http.get(url, { agent: false })
  const [answer] = (await once(request, 'response')) as [IncomingMessage]
  const leave = (): void => void request.on('error', () => undefined).destroy()
  const viewer: Watching = { bytes: 0, arrivals: 0, ageMs: 0, leave }
  answer.on('data', (data: Buffer) => {
    viewer.bytes += data.length
    viewer.arrivals += 1
    viewer.ageMs += ageOf(data.at(-1) ?? 0)
  })
  answer.on('error', () => undefined)
  return viewer
}

/** The median of each side, which are measured in turn. */
async function compare(cost: keyof VideoCost): Promise<Figure> {
  const [proxy, pipe]: [number[], number[]] = [[], []]
  for (let round = 0; round < ROUNDS; round += 1) {
    proxy.push((await costOf('proxy', VIEWERS))[cost])
    pipe.push((await costOf('pipe', VIEWERS))[cost])
  }
  return { cost: median(proxy), peer: median(pipe) }
}

const PEER = 'a bare pipe for each viewer'

const cpu: Row = {
  id: 'viewers-cpu',
  what: '500 viewers of one content at 4 Mbit/s: CPU time of the reference proxy for a second',
  peer: PEER,
  unit: 'ms',
  goal: 1.25,
  kind: 'timed',
  measure: () => compare('cpuMs'),
}

const memory: Row = {
  id: 'viewers-memory',
  what: 'the same: largest resident memory',
  peer: PEER,
  unit: 'MiB',
  goal: 1.5,
  kind: 'timed',
  measure: () => compare('memoryMiB'),
}

const lag: Row = {
  id: 'viewers-lag',
  what: 'the same: mean age of the video when it reaches the slowest viewer',
  peer: PEER,
  unit: 'ms',
  goal: 1.5,
  kind: 'timed',
  measure: () => compare('lagMs'),
}

/** Both servers with different numbers of viewers. */
async function byViewers(): Promise<Line[]> {
  const lines: Line[] = []
  for (const viewers of [100, 250, VIEWERS]) {
    for (const [kind, server] of [['proxy', 'the reference proxy'] as const, ['pipe', PEER] as const]) {
      const { cpuMs, memoryMiB, viewersMiB, lagMs, delivered } = await costOf(kind, viewers)
      const memory = { 'memory MiB': memoryMiB, 'for viewers MiB': viewersMiB }
      lines.push({ viewers, server, 'CPU ms/s': cpuMs, ...memory, 'lag ms': lagMs, 'delivered %': delivered * 100 })
    }
  }
  return lines
}

/** The video of the reference proxy. */
export const videoForViewers: Group = {
  title: 'Viewers of one content',
  about: `The reference proxy reads the video of an engine once and sends it to all viewers, over loopback. The server has a process of its
own; the engine and the viewers are in another one. Five seconds of video, after two seconds that do not count. The peer is a process that
calls \`pipe\` for each viewer and does nothing else. Its memory differs by the code of the proxy and the client, about 25 MiB, and by the garbage of
reading for each viewer at its own pace. On a machine with two cores the process of the viewers is busy too, so the lag is that
of the whole machine; below 100 % delivered the machine is too slow for so many viewers.`,
  rows: [cpu, memory, lag],
  tables: [{ id: 'viewers', title: 'CPU, memory and lag by the number of viewers', measure: byViewers }],
}
