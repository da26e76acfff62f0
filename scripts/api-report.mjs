// The public types of each entry point, as text for a review: `npm run api` writes public-api/*.api.md from dist/*.d.ts. Without `--write`
// this program fails if they differ (`npm run check:api`). So nobody changes the public API without seeing it.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Extractor, ExtractorConfig } from '@microsoft/api-extractor'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const FOLDER = join(ROOT, 'public-api')
/** How many lines of a difference are shown. */
const SHOWN = 20
const silent = { default: { logLevel: 'none' } }

const { name, exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
const entries = Object.entries(exports).flatMap(([path, { types }]) => (types === undefined ? [] : [{ module: join(name, path), types }]))

/** The report of one entry point. */
function reportOf({ module, types }, temporary) {
  const file = join(ROOT, types)
  if (!existsSync(file)) throw new Error(`There is no ${types} to compare: run \`npm run build\` first.`)
  const reportFileName = basename(types, '.d.ts')
  const config = ExtractorConfig.prepare({
    packageJsonFullPath: join(ROOT, 'package.json'),
    configObjectFullPath: undefined,
    configObject: {
      projectFolder: ROOT,
      mainEntryPointFilePath: file,
      newlineKind: 'lf',
      compiler: {
        overrideTsconfig: {
          compilerOptions: {
            target: 'ES2023',
            // Without the names of a browser: API Extractor renames a type of the package that has one of them.
            lib: ['ES2023', 'ESNext.Disposable'],
            types: [],
            module: 'NodeNext',
            strict: true,
            skipLibCheck: true,
          },
          files: [file],
        },
      },
      apiReport: { enabled: true, reportFileName, reportFolder: temporary, reportTempFolder: join(temporary, 'temp') },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      messages: {
        compilerMessageReporting: { default: { logLevel: 'error' } },
        extractorMessageReporting: silent,
        tsdocMessageReporting: silent,
      },
    },
  })
  const failures = []
  const takeMessage = (message) => {
    if (message.logLevel === 'error') failures.push(message.text)
    message.handled = true
  }
  try {
    Extractor.invoke(config, { localBuild: true, messageCallback: takeMessage })
  } catch (error) {
    // For example if a type of the platform, such as `URL`, is part of the public API: not every host has its declaration.
    failures.push(error.unformattedMessage ?? error.message)
  }
  if (failures.length > 0) throw new Error([`There is no report of ${module}:`, ...failures].join('\n  '))
  const [, code = ''] = /```ts\n([\s\S]*)```/.exec(readFileSync(join(temporary, `${reportFileName}.api.md`), 'utf8')) ?? []
  const lines = code.split('\n').filter((line) => !/^\s*\/\/ (@public|\(undocumented\)|\(No @packageDocumentation.*)|^\/\/\/ /.test(line))
  const text = lines.join('\n').trim()
  // The name of a file that the build made changes with its content.
  if (/from '\./.test(text)) throw new Error(`The report of ${module} names a file of dist/.`)
  return `# ${module.replaceAll('\\', '/')}\n\nWritten by \`npm run api\`; the public types that a review of a change must see.\n\n\`\`\`ts\n${text}\n\`\`\`\n`
}

/** The lines of a report, each after the declaration that it belongs to: `class RedisStore { timeoutMs?: number;`. */
function placedLines(report) {
  let declaration = ''
  return report.split('\n').map((line) => {
    const [, begun] = /^export (.*\{)$/.exec(line) ?? []
    if (begun !== undefined) declaration = `${begun} `
    else if (!line.startsWith(' ')) declaration = ''
    return line.startsWith(' ') ? declaration + line.trim() : line
  })
}

/** The lines that only one of two reports has. */
function difference(before, after) {
  const [old, now] = [placedLines(before), placedLines(after)]
  const only = (lines, others, mark) => lines.filter((line) => !others.includes(line)).map((line) => `  ${mark} ${line}`)
  return [...only(old, now, '-'), ...only(now, old, '+')]
}

const temporary = mkdtempSync(join(tmpdir(), 'api-report-'))
try {
  const reports = new Map(entries.map((entry) => [`${basename(entry.types, '.d.ts')}.api.md`, reportOf(entry, temporary)]))
  if (process.argv.includes('--write')) {
    rmSync(FOLDER, { recursive: true, force: true })
    mkdirSync(FOLDER)
    for (const [file, text] of reports) writeFileSync(join(FOLDER, file), text)
  } else {
    const committed = existsSync(FOLDER) ? readdirSync(FOLDER) : []
    for (const file of new Set([...reports.keys(), ...committed])) {
      const before = committed.includes(file) ? readFileSync(join(FOLDER, file), 'utf8').replaceAll('\r\n', '\n') : ''
      const after = reports.get(file) ?? ''
      if (before === after) continue
      const lines = difference(before, after)
      const rest = lines.length > SHOWN ? [`  … and ${lines.length - SHOWN} more lines`] : []
      console.error([`The public types differ from public-api/${file}:`, ...lines.slice(0, SHOWN), ...rest].join('\n'))
      process.exitCode = 1
    }
    if (process.exitCode === 1) {
      console.error('If the change is meant, run `npm run api`, commit the reports with it, and give it a line in CHANGELOG.md.')
    }
  }
} catch ({ message }) {
  console.error(message)
  process.exitCode = 1
} finally {
  rmSync(temporary, { recursive: true, force: true })
}
