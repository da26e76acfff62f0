import ts from 'typescript'
import type { CodeBlock } from './code-blocks.ts'
import { ROOT } from './pages.ts'
import { PREAMBLE } from './preamble.ts'

/** The languages that are compiled, with the file extension for each. */
const EXTENSIONS: ReadonlyMap<string, string> = new Map([
  ['ts', '.mts'],
  ['typescript', '.mts'],
  ['js', '.mjs'],
  ['javascript', '.mjs'],
])
/** Blocks are compiled as files of a directory that does not exist. */
const DIRECTORY = `${ROOT}.code-blocks/`
const PREAMBLE_FILE = `${DIRECTORY}preamble.d.mts`
/** Error codes for an implicit `any`. They are ignored in JavaScript, which has no type annotations. */
const IMPLICIT_ANY = { least: 7005, most: 7053 }

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2023,
  lib: ['lib.es2023.d.ts', 'lib.es2024.promise.d.ts', 'lib.esnext.disposable.d.ts'],
  types: ['node'],
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  moduleDetection: ts.ModuleDetectionKind.Force,
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  verbatimModuleSyntax: true,
  allowImportingTsExtensions: true,
  allowJs: true,
  checkJs: true,
  skipLibCheck: true,
  noEmit: true,
  paths: {
    'acestream-orchestrator-client': [`${ROOT}src/index.ts`],
    'acestream-orchestrator-client/redis': [`${ROOT}src/state/redis/index.ts`],
    'acestream-orchestrator-client/sqlite': [`${ROOT}src/state/sqlite/index.ts`],
    'acestream-orchestrator-client/otel': [`${ROOT}src/telemetry/otel/index.ts`],
    'acestream-orchestrator-client/prometheus': [`${ROOT}src/telemetry/prometheus/index.ts`],
    'acestream-orchestrator-client/testing': [`${ROOT}src/testing/index.ts`],
  },
}

/** The compiler's result for one block. */
export interface CompiledBlock {
  readonly block: CodeBlock
  /** Like `README.md:12: Cannot find name 'x'.`; empty if the block compiles. */
  readonly errors: readonly string[]
  /** The names of the preamble that the block uses. */
  readonly preambleNames: ReadonlySet<string>
}

/** Whether a block is code that {@link compileBlocks} can compile. */
export function isCompiled({ language }: CodeBlock): boolean {
  return EXTENSIONS.has(language)
}

/** Compiles all blocks, each as a module of its own, in one program. */
export function compileBlocks(blocks: readonly CodeBlock[]): CompiledBlock[] {
  const files = new Map([[PREAMBLE_FILE, PREAMBLE]])
  const names = blocks.map(({ path, line, language, code }, index) => {
    const name = `${DIRECTORY}${index}-${path.replaceAll('/', '-')}-${line}${EXTENSIONS.get(language)}`
    files.set(name, code)
    return name
  })
  const program = ts.createProgram([...files.keys()], OPTIONS, hostOf(files))
  const preamble = program.getSourceFile(PREAMBLE_FILE)
  const wrong = program.getSemanticDiagnostics(preamble)[0]
  if (preamble === undefined || wrong !== undefined) throw new Error(`The preamble does not compile: ${messageOf(wrong)}`)
  return blocks.map((block, index) => {
    const file = program.getSourceFile(names[index] ?? '')
    if (file === undefined) throw new Error(`${block.path}:${block.line}: the block is not part of the program`)
    const preambleNames = namesFrom(preamble, file, program.getTypeChecker())
    const errors = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]
      .filter(({ code }) => !(file.fileName.endsWith('.mjs') && code >= IMPLICIT_ANY.least && code <= IMPLICIT_ANY.most))
      .map((found) => `${block.path}:${block.line + file.getLineAndCharacterOfPosition(found.start ?? 0).line}: ${messageOf(found)}`)
    for (const { fileName } of ts.preProcessFile(block.code).importedFiles) {
      if (/^[./]/.test(fileName)) errors.push(`${block.path}:${block.line}: imports ${fileName}, which a reader does not have`)
    }
    if (block.flags.includes('complete')) {
      for (const name of preambleNames) errors.push(`${block.path}:${block.line}: is marked complete, but does not declare ${name}`)
    }
    return { block, errors, preambleNames }
  })
}

/** A compiler host that sees `files` in addition to the files on disk. */
function hostOf(files: ReadonlyMap<string, string>): ts.CompilerHost {
  const host = ts.createCompilerHost(OPTIONS)
  return {
    ...host,
    getCurrentDirectory: () => ROOT,
    fileExists: (name) => files.has(name) || host.fileExists(name),
    readFile: (name) => files.get(name) ?? host.readFile(name),
    getSourceFile(name, language, onError, isNew) {
      const text = files.get(name)
      return text === undefined ? host.getSourceFile(name, language, onError, isNew) : ts.createSourceFile(name, text, language)
    },
  }
}

/** The names in `file` that `preamble` declares. */
function namesFrom(preamble: ts.SourceFile, file: ts.SourceFile, checker: ts.TypeChecker): Set<string> {
  const names = new Set<string>()
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node)) {
      const symbol = ts.isShorthandPropertyAssignment(node.parent)
        ? checker.getShorthandAssignmentValueSymbol(node.parent)
        : checker.getSymbolAtLocation(node)
      if (symbol?.declarations?.some((declaration) => isGlobalOf(preamble, declaration))) names.add(node.text)
    }
    ts.forEachChild(node, visit)
  }
  visit(file)
  return names
}

/** Whether this is a global name of the preamble, and not a member of one of its classes or types. */
function isGlobalOf(preamble: ts.SourceFile, declaration: ts.Declaration): boolean {
  return declaration.getSourceFile() === preamble && !ts.isClassElement(declaration) && !ts.isTypeElement(declaration)
}

function messageOf(found: ts.Diagnostic | undefined): string {
  return found === undefined ? 'was not found' : ts.flattenDiagnosticMessageText(found.messageText, '\n')
}
