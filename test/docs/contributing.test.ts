import { expect, it } from 'vitest'
import { codeSpans, pagesUnder, read } from './pages.ts'

/** The table of the folders of `src/`: each folder, and the folders that it may import from. */
const rows = [...read('CONTRIBUTING.md').matchAll(/^\| `src\/(\w+)\/` \|.*\| ([^|]+) \|$/gm)].map(([, folder = '', mayUse = '']) => ({
  folder,
  mayUse: codeSpans(mayUse),
  typesOnly: codeSpans(mayUse.split('types of')[1] ?? ''),
}))
const FOLDERS = [...new Set(pagesUnder('src', /^src\/\w+\/.*\.ts$/).map(({ path }) => path.split('/')[1] ?? ''))]

it('CONTRIBUTING lists every folder of src/', () => {
  expect(rows.map(({ folder }) => folder).sort()).toEqual(FOLDERS.sort())
})

it.each(rows)('the folder src/$folder imports only from the folders that CONTRIBUTING allows', ({ folder, mayUse, typesOnly }) => {
  const imports = pagesUnder(`src/${folder}`, /\.ts$/).flatMap(({ path, text }) =>
    [...text.matchAll(/^(?:import|export) (type )?[^']*? from '((?:\.\.\/)+)(\w+)\//gm)]
      .filter(([, , up = '']) => path.split('/').length - 1 - up.length / 3 === 1)
      .map(([, type, , other = '']) => ({ path, other, isType: type !== undefined })),
  )
  expect(imports.filter(({ other }) => other !== folder && !mayUse.includes(other))).toEqual([])
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
