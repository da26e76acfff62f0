import { expect, it } from 'vitest'
import { codeSpans, pagesUnder, read } from './pages.ts'

/** The rows of the table of rooms: the room, and the names in its column "may use". */
const rows = [...read('CONTRIBUTING.md').matchAll(/^\| `src\/(\w+)\/` \|.*\| ([^|]+) \|$/gm)].map(([, room = '', mayUse = '']) => ({
  room,
  mayUse: codeSpans(mayUse),
  typesOnly: codeSpans(mayUse.split('types of')[1] ?? ''),
}))
const ROOMS = [...new Set(pagesUnder('src', /^src\/\w+\/.*\.ts$/).map(({ path }) => path.split('/')[1] ?? ''))]

it('CONTRIBUTING lists every room of the sources', () => {
  expect(rows.map(({ room }) => room).sort()).toEqual(ROOMS.sort())
})

it.each(rows)('the room $room uses only what CONTRIBUTING says', ({ room, mayUse, typesOnly }) => {
  const imports = pagesUnder(`src/${room}`, /\.ts$/).flatMap(({ path, text }) =>
    [...text.matchAll(/^(?:import|export) (type )?[^']*? from '((?:\.\.\/)+)(\w+)\//gm)]
      .filter(([, , up = '']) => path.split('/').length - 1 - up.length / 3 === 1)
      .map(([, type, , other = '']) => ({ path, other, isType: type !== undefined })),
  )
  expect(imports.filter(({ other }) => other !== room && !mayUse.includes(other))).toEqual([])
  expect(imports.filter(({ other, isType }) => typesOnly.includes(other) && !isType)).toEqual([])
})

it('CONTRIBUTING names the quick and the deep tests, and .ci/run runs both', () => {
  const page = read('CONTRIBUTING.md')
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const inCi = read('.ci/run')
  for (const [command, script] of [
    ['npm test', 'test'],
    ['npm run test:deep', 'test:deep'],
  ] as const) {
    expect(page).toContain(command)
    expect(inCi).toContain(command)
    expect(scripts).toHaveProperty(script)
  }
  expect(page).toContain('`*.deep.test.ts`')
})
