import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { ROOT } from '../docs/pages.ts'

const BUILT = {
  'index.d.ts': `import { Options } from './options-B1c2D3e4.js';
/** A client. */
declare class Client {
    #private;
    constructor(options: Options);
    close(): Promise<void>;
}
export { Client, type Options };`,
  'options-B1c2D3e4.d.ts': `interface Options {
    url: string;
    timeoutMs?: number | undefined;
}
export type { Options };`,
  'tools.d.ts': `import { Client } from './index.js';
declare function watch(client: Client): void;
export { watch };`,
}
const project = mkdtempSync(join(tmpdir(), 'api-'))
afterAll(() => rmSync(project, { recursive: true, force: true }))

/** Makes a package with these built declarations in place of the usual ones. */
function build(changed: Partial<typeof BUILT> = {}): void {
  rmSync(project, { recursive: true, force: true })
  for (const folder of ['scripts', 'dist']) mkdirSync(join(project, folder), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(project, 'node_modules'), 'junction')
  copyFileSync(join(ROOT, 'scripts/api-report.mjs'), join(project, 'scripts/api-report.mjs'))
  const exports = { '.': { types: './dist/index.d.ts' }, './tools': { types: './dist/tools.d.ts' }, './package.json': './package.json' }
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'some-client', version: '1.0.0', type: 'module', exports }))
  rebuild(changed)
}

function rebuild(changed: Partial<typeof BUILT>): void {
  for (const [file, text] of Object.entries({ ...BUILT, ...changed })) writeFileSync(join(project, 'dist', file), text)
}

function report(...args: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/api-report.mjs', ...args], { cwd: project, encoding: 'utf8' })
  return { status, output: stdout + stderr }
}

describe('npm run api', () => {
  beforeEach(() => {
    build()
    expect(report('--write')).toEqual({ status: 0, output: '' })
  })

  it('writes the public types of each entry point, without comments, private members and names of built files', () => {
    const [index, tools] = ['index', 'tools'].map((name) => readFileSync(join(project, `public-api/${name}.api.md`), 'utf8'))
    expect(index).toMatch(/^# some-client\n/)
    expect(index).toContain('export interface Options {\n    timeoutMs?: number | undefined;\n    url: string;\n}')
    expect(index).toContain('export class Client {\n    constructor(options: Options);\n    close(): Promise<void>;\n}')
    expect(index).not.toMatch(/undocumented|@public|A client|private|B1c2D3e4/)
    expect(tools).toMatch(/^# some-client\/tools\n/)
    expect(tools).toContain('export function watch(client: Client): void;')
  })

  it('makes the check pass while the types stay as they are, also if the build names its files differently', () => {
    expect(report()).toEqual({ status: 0, output: '' })
    rebuild({
      'index.d.ts': BUILT['index.d.ts'].replace('B1c2D3e4', 'F5g6H7i8').replace('A client', 'The client'),
      ...{ 'options-F5g6H7i8.d.ts': BUILT['options-B1c2D3e4.d.ts'] },
    })
    expect(report()).toEqual({ status: 0, output: '' })
  })

  it('makes the check fail if an option gets another type, and the error shows it and the command', () => {
    rebuild({ 'options-B1c2D3e4.d.ts': BUILT['options-B1c2D3e4.d.ts'].replace('url: string', 'url: string | number') })
    const { status, output } = report()
    expect(status).toBe(1)
    expect(output).toContain('The public types differ from public-api/index.api.md:')
    expect(output).toContain('  - interface Options { url: string;\n  + interface Options { url: string | number;\n')
    expect(output).toContain('run `npm run api`')
    expect(output).not.toContain('tools.api.md')
  })

  it.each([
    [
      'an export is added',
      { 'tools.d.ts': `${BUILT['tools.d.ts']}\nexport declare const MORE: number;` },
      '  + export const MORE: number;\n',
    ],
    [
      'a method is gone',
      { 'index.d.ts': BUILT['index.d.ts'].replace('    close(): Promise<void>;\n', '') },
      '  - class Client { close(): Promise<void>;\n',
    ],
  ])('makes the check fail if %s', (_, changed, line) => {
    rebuild(changed)
    const { status, output } = report()
    expect(status).toBe(1)
    expect(output).toContain(line)
  })

  it('makes the check fail, and says why, if a type of the platform is in the public types', () => {
    rebuild({ 'options-B1c2D3e4.d.ts': BUILT['options-B1c2D3e4.d.ts'].replace('url: string', 'url: string | URL') })
    expect(report()).toEqual({ status: 1, output: 'There is no report of some-client:\n  Unable to follow symbol for "URL"\n' })
  })

  it('says that the package must be built first, if it is not', () => {
    rmSync(join(project, 'dist/tools.d.ts'))
    expect(report()).toEqual({ status: 1, output: 'There is no ./dist/tools.d.ts to compare: run `npm run build` first.\n' })
  })

  it('makes the check fail if an entry point has no report, or a report no entry point', () => {
    rmSync(join(project, 'public-api/tools.api.md'))
    writeFileSync(join(project, 'public-api/gone.api.md'), '# some-client/gone\n')
    const { status, output } = report()
    expect(status).toBe(1)
    expect(output).toContain('The public types differ from public-api/tools.api.md:')
    expect(output).toContain('The public types differ from public-api/gone.api.md:\n  - # some-client/gone\n')
  })
})
