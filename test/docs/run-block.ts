import ts from 'typescript'
import type { CodeBlock } from './code-blocks.ts'

/** What a block may use when it runs. */
export interface BlockWorld {
  /** What `import` gives, by module name. */
  readonly modules: Readonly<Record<string, unknown>>
  /** The names of the preamble. */
  readonly globals?: Readonly<Record<string, unknown>>
  /** The names that the block declares and the test wants to see. */
  readonly results?: readonly string[]
}

const AsyncFunction = (async () => {}).constructor as new (...parts: string[]) => (...values: unknown[]) => Promise<Record<string, unknown>>

/** Runs a block as a module that is replaced piece by piece: its imports and undeclared names come from `world`. Resolves with `results`. */
export async function runBlock(block: CodeBlock, world: BlockWorld): Promise<Record<string, unknown>> {
  const { outputText } = ts.transpileModule(block.code, {
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 },
  })
  const { modules, globals = {}, results = [] } = world
  const load = (name: string): unknown => {
    if (!(name in modules)) throw new Error(`${block.path}:${block.line}: imports ${name}, which this test does not know`)
    return modules[name]
  }
  const run = new AsyncFunction('require', 'exports', ...Object.keys(globals), `${outputText}\nreturn { ${results.join(', ')} }`)
  return run(load, {}, ...Object.values(globals))
}
