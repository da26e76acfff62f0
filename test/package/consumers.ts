/** One way in which a host compiles against this package. */
export interface Consumer {
  /** Part of the title of its test. */
  readonly name: string
  /** Files of `test/consumers`. */
  readonly files: readonly string[]
  /** As in a `tsconfig.json`. */
  readonly compilerOptions: Readonly<Record<string, unknown>>
}

const STRICT = {
  noEmit: true,
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  verbatimModuleSyntax: true,
  skipLibCheck: false,
}
const NODE = { ...STRICT, module: 'nodenext', target: 'es2023', lib: ['es2023', 'esnext.disposable'], types: ['node'] }
const BUNDLER = { ...STRICT, module: 'esnext', moduleResolution: 'bundler', target: 'es2023' }

/** Consumers without the optional peers. */
export const CONSUMERS: readonly Consumer[] = [
  { name: "NodeNext with Node's types", files: ['everywhere.ts', 'platform.ts'], compilerOptions: NODE },
  {
    name: "a bundler with the DOM's types",
    files: ['everywhere.ts', 'platform.ts'],
    compilerOptions: { ...BUNDLER, lib: ['es2023', 'esnext.disposable', 'dom', 'dom.iterable'], types: [] },
  },
  { name: 'CommonJS with require', files: ['commonjs.cts'], compilerOptions: NODE },
  {
    name: 'lib es2022 without any types, NodeNext',
    files: ['everywhere.ts', 'commonjs.cts'],
    compilerOptions: { ...NODE, lib: ['es2022'], types: [] },
  },
  {
    name: 'lib es2022 without any types, a bundler',
    files: ['everywhere.ts'],
    compilerOptions: { ...BUNDLER, lib: ['es2022'], types: [] },
  },
]

/** Consumers with all peers. The declarations of these do not compile in each strict project, hence `skipLibCheck`. */
export const CONSUMERS_WITH_PEERS: readonly Consumer[] = [
  {
    name: 'NodeNext beside the optional peers',
    files: ['everywhere.ts', 'platform.ts', 'peers.ts'],
    compilerOptions: { ...NODE, skipLibCheck: true },
  },
  {
    name: 'a bundler beside the optional peers',
    files: ['everywhere.ts', 'platform.ts', 'peers.ts'],
    compilerOptions: { ...BUNDLER, lib: ['es2023', 'esnext.disposable', 'dom', 'dom.iterable'], types: ['node'], skipLibCheck: true },
  },
]
