import { describe, expect, it } from 'vitest'
import type { Diagnosis } from '../../src/index.ts'
import { read } from '../docs/pages.ts'
import { isNode22 } from '../support/platform.ts'
import { MARK, PAGE, sectionOf } from './page.ts'
import { runDoctor } from './screen.ts'
import { KEY, WRONG_THINGS } from './wrong-things.ts'

const things = WRONG_THINGS.map((thing) => [thing.title, thing] as const)
/** The fetch of Node 22 has other words about an answer that is not HTTP. */
const shown = things.filter(([, { codes }]) => !(isNode22 && codes.includes('not_http')))
const page = read(PAGE)

describe('the doctor finds what is wrong, and says what to do', () => {
  it.each(things)('%s', async (_, thing) => {
    const { out, err, code } = await runDoctor(thing, '--json')
    const { problems } = JSON.parse(out) as Diagnosis
    expect(problems.map((problem) => problem.code)).toEqual(thing.codes)
    expect({ err, code }).toEqual({ err: '', code: thing.codes.length === 0 ? 0 : 1 })
    for (const { message, remedy } of problems) {
      expect(message).toMatch(/^[A-Z"h\d[].*[^.]\.$/s)
      expect(remedy).toMatch(/^[A-Z].*[^.]\.$/s)
    }
    expect(out).not.toContain(KEY)
  })
})

describe(`${PAGE} shows the screen of the doctor as it is`, () => {
  it.each(shown)('%s', async (_, thing) => {
    const section = await sectionOf(thing)
    const [, rest = ''] = page.split(`\n## ${thing.title}\n`)
    const [written] = rest.split('\n## ')
    // To mend the page: node test/diagnosis/write-page.ts
    expect(`## ${thing.title}\n${written}`.trimEnd()).toBe(section.trimEnd())
    expect(section.split('\n').filter((line) => line.length > 80)).toEqual([])
    expect(section).not.toContain(KEY)
  })

  it('for every wrong thing, and for no other', () => {
    const [, screens = ''] = page.split(MARK)
    expect([...screens.matchAll(/^## (.*)$/gm)].map(([, title]) => title)).toEqual(WRONG_THINGS.map(({ title }) => title))
  })
})
