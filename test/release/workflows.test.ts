import { existsSync, readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { GENERATIONS } from '../../src/testing/index.ts'
import { ROOT, read } from '../docs/pages.ts'

interface Step {
  readonly name?: string
  readonly run?: string
  readonly uses?: string
  readonly with?: Readonly<Record<string, unknown>>
}

interface Job {
  readonly name?: string
  readonly needs?: string | readonly string[]
  readonly if?: string
  readonly uses?: string
  readonly container?: { readonly image: string }
  readonly environment?: string | { readonly name: string }
  readonly permissions?: Readonly<Record<string, string>>
  readonly 'timeout-minutes'?: number
  readonly strategy?: { readonly matrix: { readonly os: readonly string[]; readonly node: readonly number[] } }
  readonly steps?: readonly Step[]
}

interface Workflow {
  readonly on: Readonly<Record<string, unknown>>
  readonly permissions: unknown
  readonly concurrency: { readonly group: string; readonly 'cancel-in-progress': boolean }
  readonly jobs: Readonly<Record<string, Job>>
}

const FOLDER = '.github/workflows'
const files = readdirSync(ROOT + FOLDER).map((name) => `${FOLDER}/${name}`)
const workflow = (name: string): Workflow => parse(read(`${FOLDER}/${name}.yml`)) as Workflow
const stepsOf = (job: Job | undefined): readonly Step[] => job?.steps ?? []
const commandsOf = (job: Job | undefined): string[] => stepsOf(job).flatMap(({ run }) => (run === undefined ? [] : [run]))

const manifest = JSON.parse(read('package.json')) as {
  scripts: Record<string, string>
  engines: { node: string }
  devDependencies: { node: string }
  bin: Record<string, string>
}
const ci = workflow('ci')
const release = workflow('release')
const allJobs = files.flatMap((file) => Object.entries((parse(read(file)) as Workflow).jobs).map(([id, job]) => ({ file, id, job })))

describe.each(files)('the workflow %s', (file) => {
  const text = read(file)
  const { permissions, concurrency, jobs } = parse(text) as Workflow

  it('may only read by default, and runs once at a time for the same thing', () => {
    expect(permissions).toEqual({ contents: 'read' })
    expect(concurrency).toHaveProperty('group')
  })

  it('ends each of its jobs after some minutes', () => {
    const endless = Object.entries(jobs).filter(([, job]) => job.uses === undefined && !job['timeout-minutes'])
    expect(endless).toEqual([])
  })

  it('pins each action to a commit, names its version, and leaves no token in the checkout', () => {
    const used = [...text.matchAll(/uses: (\S+)( # v\d+\.\d+\.\d+$)?/gm)]
    expect(used.length).toBeGreaterThan(0)
    const loose = used.filter(([, action = '', note]) =>
      action.startsWith('./') ? !existsSync(ROOT + action) : !/^[\w-]+\/[\w-]+@[\da-f]{40}$/.test(action) || note === undefined,
    )
    expect(loose.map(([line]) => line)).toEqual([])
    const checkouts = Object.values(jobs).flatMap((job) => stepsOf(job).filter(({ uses }) => uses?.startsWith('actions/checkout@')))
    for (const checkout of checkouts) expect(checkout.with).toMatchObject({ 'persist-credentials': false })
  })

  it('names no registry, and no secret but the token of the run', () => {
    expect(text).not.toMatch(/registry\.|registry-url|secrets\.|NODE_AUTH_TOKEN|NPM_TOKEN/)
  })

  it('runs only scripts and files that exist', () => {
    const commands = Object.values(jobs).flatMap(commandsOf).join('\n')
    const scripts = [...commands.matchAll(/\bnpm (?:run )?([\w:-]+)/g)].map(([, script = '']) => script)
    const missing = scripts.filter((script) => !(script in manifest.scripts) && !['ci', 'publish'].includes(script))
    expect(missing).toEqual([])
    const programs = [...commands.matchAll(/(?:^|\bnode )([\w./-]+\/[\w.-]+)/gm)].map(([, path = '']) => path)
    expect(programs.length + scripts.length).toBeGreaterThan(0)
    expect(programs.filter((path) => !existsSync(ROOT + path))).toEqual([])
  })
})

it('all workflows use the same version of an action', () => {
  const pins = new Set(files.flatMap((file) => [...read(file).matchAll(/uses: ([\w/-]+@\w+ # \S+)/g)].map(([, pin = '']) => pin)))
  const actions = [...pins].map((pin) => pin.replace(/@.*/, ''))
  expect(actions).toEqual([...new Set(actions)])
})

it('a job may write only what it publishes', () => {
  const rights = allJobs.flatMap(({ file, id, job }) =>
    Object.entries(job.permissions ?? {}).flatMap(([scope, right]) =>
      right === 'write' ? [`${file.slice(FOLDER.length + 1)} ${id}: ${scope}`] : [],
    ),
  )
  expect(rights.toSorted()).toEqual([
    'docs.yml deploy: id-token',
    'docs.yml deploy: pages',
    'release.yml docs: id-token',
    'release.yml docs: pages',
    'release.yml notes: contents',
    'release.yml publish: id-token',
  ])
})

it('the containers have the Node of the development dependencies', () => {
  const images = allJobs.flatMap(({ job }) => job.container?.image ?? [])
  expect(images).toEqual([expect.stringMatching(/^node:/), expect.stringMatching(/^node:/)])
  for (const image of images) expect(image).toMatch(new RegExp(`^node:${manifest.devDependencies.node.split('.')[0]}-`))
})

describe('the tests of a change', () => {
  const { quick, runtimes, everything, passed } = ci.jobs

  it('run on three systems, on the oldest Node that the package supports and on the two that follow', () => {
    const [, oldest = ''] = /^>=(\d+)\./.exec(manifest.engines.node) ?? []
    expect(quick?.strategy?.matrix).toEqual({
      os: ['ubuntu-latest', 'macos-latest', 'windows-latest'],
      node: [Number(oldest), Number(oldest) + 2, Number(oldest) + 4],
    })
    expect(read('README.md')).toMatch(new RegExp(`Node ${manifest.engines.node.slice(2).replace('.', '\\.')} or\\s+newer`))
  })

  it('use the Node of the matrix: a script of npm would use the one of the development dependencies', () => {
    const commands = commandsOf(quick)
    expect(commands).toContain('node node_modules/vitest/vitest.mjs run --project quick')
    expect(commands.filter((command) => /\b(npm (run|test|exec)|npx)\b/.test(command))).toEqual([])
    expect(commands.find((command) => command.includes('process.versions.node'))).toContain(`matrix.node`)
  })

  it('need no Node of the development dependencies, which the registry does not have for each system', () => {
    expect(commandsOf(quick).filter((command) => command.startsWith('npm ci'))).toEqual(['npm ci --ignore-scripts'])
    // If another package gets an install script that the tests need, they must run it.
    const { allowScripts } = JSON.parse(read('package.json')) as { allowScripts: Record<string, boolean> }
    expect(Object.keys(allowScripts).filter((name) => allowScripts[name])).toEqual(['node'])
  })

  it('are cancelled by a newer commit of the same pull request, and by no commit of main', () => {
    expect(ci.concurrency).toEqual({
      group: `ci-\${{ github.event_name == 'pull_request' && github.ref || github.sha }}`,
      'cancel-in-progress': true,
    })
  })

  it('include Bun, Deno and everything that .ci/run does', () => {
    expect(commandsOf(runtimes)).toContain('npm run test:runtimes')
    expect(commandsOf(everything)).toContain('.ci/run')
  })

  it('have one job that succeeds only if all others did, for the protection of the branch', () => {
    const others = Object.keys(ci.jobs).filter((id) => id !== 'passed')
    expect(passed?.needs).toEqual(others)
    expect(passed?.if).toBe('always()')
    expect(commandsOf(passed)).toEqual([`test "\${{ join(needs.*.result, ' ') }}" = "${others.map(() => 'success').join(' ')}"`])
    expect(read('RELEASING.md')).toContain(`\`${passed?.name}\``)
  })
})

describe('the release', () => {
  const { test, publish, notes, docs } = release.jobs

  it('begins with a pushed tag, checks first the tag and the fields of package.json, and publishes only after all tests', () => {
    expect(release.on).toEqual({ push: { tags: ['v*'] } })
    expect(commandsOf(test)).toEqual(expect.arrayContaining(['node scripts/release-notes.mjs "$GITHUB_REF_NAME"', '.ci/run']))
    const early = commandsOf(test).indexOf('node scripts/check-release.mjs')
    expect(early).toBeGreaterThan(-1)
    expect(early).toBeLessThan(commandsOf(test).indexOf('.ci/run'))
    expect([publish?.needs, notes?.needs, docs?.needs]).toEqual(['test', 'publish', 'publish'])
  })

  it('publishes without a token that lives longer, with a Node whose npm can do that', () => {
    expect(commandsOf(publish).at(-1)).toBe('npm publish')
    const setup = stepsOf(publish).find(({ uses }) => uses?.startsWith('actions/setup-node@'))
    expect(setup?.with?.['node-version']).toBeGreaterThanOrEqual(24)
  })

  it('is described by RELEASING.md with the names that the owner must enter', () => {
    const guide = read('RELEASING.md')
    expect(guide).toContain('--file release.yml')
    expect(guide).toContain(`--env ${publish?.environment}`)
    expect(guide).toContain('`github-pages`')
    // A run that is started by hand runs on `main`.
    expect(workflow('docs').on).toHaveProperty('workflow_dispatch')
    expect(guide).toMatch(/in `github-pages` also `main`/)
  })

  it('publishes the site that npm run docs builds, as a part of this run', () => {
    expect(docs?.uses).toBe('./.github/workflows/docs.yml')
    const site = workflow('docs')
    expect(site.on).toHaveProperty('workflow_call')
    expect(commandsOf(site.jobs['build'])).toContain('npm run docs')
    expect(stepsOf(site.jobs['build']).at(-1)?.with).toEqual({ path: 'site' })
  })
})

describe('the forms for issues', () => {
  it('ask for the output of the doctor, and know all generations of the orchestrator', () => {
    const { body } = parse(read('.github/ISSUE_TEMPLATE/bug.yml')) as { body: { id?: string; attributes: Record<string, unknown> }[] }
    const field = (id: string) => body.find((one) => one.id === id)?.attributes
    expect(field('doctor')?.['description']).toContain(`npx ${Object.keys(manifest.bin)[0]} doctor`)
    expect(field('orchestrator')?.['options']).toEqual(expect.arrayContaining([...GENERATIONS]))
  })

  it.each(['question.yml', 'config.yml', '../dependabot.yml'])('parse: %s', (file) => {
    expect(parse(read(`.github/ISSUE_TEMPLATE/${file}`))).toBeTypeOf('object')
  })

  it('name only scripts that exist', () => {
    const text = read('.github/PULL_REQUEST_TEMPLATE.md')
    const scripts = [...text.matchAll(/npm (?:run )?([\w:-]+)/g)].map(([, script = '']) => script)
    expect(scripts.length).toBeGreaterThan(2)
    expect(scripts.filter((script) => !(script in manifest.scripts))).toEqual([])
  })
})
