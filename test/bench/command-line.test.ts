import { describe, expect, it } from 'vitest'
import { commandFrom, exitCodeOf } from '../../bench/frame/command-line.ts'
import type { Figure, Group, MeasuredRow, Row, Table } from '../../bench/frame/row.ts'
import { GROUPS } from '../../bench/groups.ts'
import { read } from '../docs/pages.ts'

const row = (id: string, kind: Row['kind']): Row => ({ id, what: id, unit: 'ms', goal: 20, kind, measure: async () => ({ cost: 1 }) })
const table: Table = { id: 'pools', title: 'Pools', measure: async () => [] }
const groups: Group[] = [
  { title: 'One', about: '', rows: [row('acquire-17', 'timed'), row('sockets', 'counted')], tables: [table] },
  { title: 'Two', about: '', rows: [row('size', 'counted')] },
]

/** The ids of what is measured. */
function measured(...args: string[]): string[] {
  const { rows, tables } = commandFrom(args, groups)
  return [...rows, ...tables].map(({ id }) => id)
}

describe('npm run bench', () => {
  it('measures all rows and tables', () => {
    expect(measured()).toEqual(['acquire-17', 'sockets', 'size', 'pools'])
    expect(commandFrom([], groups)).toMatchObject({ checks: false, plots: false, writes: false })
  })

  it('measures all rows, and no table, to check the goals', () => {
    expect(measured('--check')).toEqual(['acquire-17', 'sockets', 'size'])
  })

  it('measures only rows that do not depend on time, if it is to check what is counted', () => {
    expect(measured('--check', '--counted')).toEqual(['sockets', 'size'])
  })

  it('measures one row or table, or several', () => {
    expect(measured('--only', 'pools')).toEqual(['pools'])
    expect(measured('--only', 'size', '--only=acquire-17')).toEqual(['acquire-17', 'size'])
  })

  it('measures only what the plots need to write them, and everything to write the page', () => {
    expect(measured('--plot')).toEqual([])
    expect(commandFrom(['--plot'], groups)).toMatchObject({ plots: true, writes: false })
    expect(measured('--write')).toEqual(['acquire-17', 'sockets', 'size', 'pools'])
    expect(commandFrom(['--write'], groups)).toMatchObject({ writes: true })
  })

  it.each([
    [['--chek'], /--chek/],
    [['fast'], /fast/],
    [['--only'], /--only/],
    [['--only', 'acquire-18'], /no row or table "acquire-18".*acquire-17, sockets, size, pools/],
    [['--counted', '--only', 'acquire-17'], /leave no row/],
    [['--check', '--only', 'pools'], /leave no row/],
    [['--write', '--check'], /--write/],
    [['--write', '--plot'], /--write/],
    [['--plot', '--only', 'size'], /--plot/],
  ])('says what is wrong with the options %j', (args, message) => {
    expect(() => commandFrom(args, groups)).toThrow(message)
  })

  it('reads the commands of the benchmark page and of .ci/run', () => {
    const commands = ['BENCHMARKS.md', '.ci/run'].flatMap((file) => [...read(file).matchAll(/npm run bench -- ([^#|`\n]+)/g)])
    expect(commands.length).toBeGreaterThan(4)
    for (const [, args = ''] of commands) expect(() => commandFrom(args.trim().split(/\s+/), GROUPS)).not.toThrow()
    expect(read('.ci/run')).toContain('npm run bench -- --check --counted || status=$?')
  })
})

describe('npm run bench -- --check', () => {
  const check = commandFrom(['--check'], groups)
  const ofSockets = (figure: Figure | undefined): MeasuredRow => ({ row: row('sockets', 'counted'), figure })
  const ofRatio = (kind: Row['kind'], figure: Figure): MeasuredRow => ({ row: { ...row('ratio', kind), peer: 'a peer', goal: 2 }, figure })

  it('exits with 0 if all goals are met, and with 1 if one is missed', () => {
    expect(exitCodeOf(check, [ofSockets({ cost: 20 }), ofSockets({ cost: 3 })])).toBe(0)
    expect(exitCodeOf(check, [ofSockets({ cost: 20 }), ofSockets({ cost: 21 })])).toBe(1)
  })

  it('compares the ratio to the peer with the goal, if the row has a peer', () => {
    expect(exitCodeOf(check, [ofRatio('counted', { cost: 200, peer: 100 })])).toBe(0)
    expect(exitCodeOf(check, [ofRatio('counted', { cost: 1, peer: 0.4 })])).toBe(1)
  })

  it('compares times as they are printed, and counts exactly', () => {
    expect(exitCodeOf(check, [ofRatio('timed', { cost: 2.004, peer: 1 })])).toBe(0)
    expect(exitCodeOf(check, [ofRatio('timed', { cost: 2.01, peer: 1 })])).toBe(1)
    expect(exitCodeOf(check, [ofRatio('counted', { cost: 2.004, peer: 1 })])).toBe(1)
  })

  it('exits with 0 if a goal is missed by no more than is known, and with 1 beyond that', () => {
    const ofKnown = (cost: number | undefined): MeasuredRow => {
      const known: Row = { ...row('size', 'counted'), miss: { upTo: 30, because: 'It does more.' } }
      return { row: known, figure: cost === undefined ? undefined : { cost } }
    }
    expect(exitCodeOf(check, [ofKnown(30)])).toBe(0)
    expect(exitCodeOf(check, [ofKnown(30.1)])).toBe(1)
    expect(exitCodeOf(check, [ofKnown(undefined)])).toBe(1)
  })

  it('exits with 1 if a row could not be measured', () => {
    expect(exitCodeOf(check, [ofSockets(undefined)])).toBe(1)
    expect(exitCodeOf(check, [ofSockets({ cost: Number.NaN })])).toBe(1)
  })

  it('exits with 0 after a run that checks nothing', () => {
    expect(exitCodeOf(commandFrom([], groups), [ofSockets({ cost: 21 })])).toBe(0)
  })
})
