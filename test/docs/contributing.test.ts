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
