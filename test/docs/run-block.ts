import ts from 'typescript'
import type { CodeBlock } from './code-blocks.ts'

/** The modules and names that a block may use when it runs. */
export interface BlockWorld {
  /** The modules that the block may import, by name. */
  readonly modules: Readonly<Record<string, unknown>>
  /** The values of the preamble's names. */
  readonly globals?: Readonly<Record<string, unknown>>
  /** Names that the block declares and whose values the test needs. */
  readonly results?: readonly string[]
}

const AsyncFunction = (async () => {}).constructor as new (...parts: string[]) => (...values: unknown[]) => Promise<Record<string, unknown>>

/** Runs a block. Its imports and its undeclared names come from `world`. Resolves with the values of `results`. */
export async function runBlock(block: CodeBlock, world: BlockWorld): Promise<Record<string, unknown>> {
  const { outputText } = ts.transpileModule(block.code, {
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 },
  })
  const { modules, globals = {}, results = [] } = world
  const load = (name: string): unknown => {
    if (!(name in modules)) throw new Error(`${block.path}:${block.line}: imports ${name}, which this test does not provide`)
    return modules[name]
  }
  const run = new AsyncFunction('require', 'exports', ...Object.keys(globals), `${outputText}\nreturn { ${results.join(', ')} }`)
  return run(load, {}, ...Object.values(globals))
}
