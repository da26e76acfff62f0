import ts from 'typescript'
import { ROOT } from '../docs/pages.ts'

const ENTRY_POINTS = [
  'src/index.ts',
  'src/state/redis/index.ts',
  'src/state/sqlite/index.ts',
  'src/telemetry/otel/index.ts',
  'src/telemetry/prometheus/index.ts',
  'src/testing/index.ts',
]

/** An optional property or parameter property of a public type. */
interface OptionalProperty {
  /** For example `AcquireOptions.waitMs`, or for an unnamed type `OrchestratorClient.close.timeoutMs`. */
  readonly path: string
  readonly acceptsUndefined: boolean
}

/** The public declarations of this package, read from the sources. */
export interface PublicTypes {
  /** Types that a public declaration names, and that no entry point exports. */
  readonly unexported: readonly string[]
  /** Types of a platform or of a later ECMAScript that a public declaration names: not every consumer's compiler knows them. */
  readonly unknownToES2022: readonly string[]
  readonly optionalProperties: readonly OptionalProperty[]
}

/** Reads every declaration that an entry point exports. */
export function readPublicTypes(): PublicTypes {
  const { config } = ts.readConfigFile(`${ROOT}tsconfig.json`, ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, ROOT)
  const program = ts.createProgram(
    ENTRY_POINTS.map((path) => ROOT + path),
    options,
  )
  const checker = program.getTypeChecker()
  const resolve = (symbol: ts.Symbol): ts.Symbol => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol)
  const exported = new Set<ts.Symbol>()
  for (const path of ENTRY_POINTS) {
    const module = checker.getSymbolAtLocation(program.getSourceFile(ROOT + path) as ts.SourceFile)
    for (const symbol of checker.getExportsOfModule(module as ts.Symbol)) exported.add(resolve(symbol))
  }
  const unexported = new Set<string>()
  const unknownToES2022 = new Set<string>()
  const optionalProperties: OptionalProperty[] = []

  const visit = (node: ts.Node, path: string): void => {
    if (isHidden(node)) return
    const named = nameOf(node)
    const fullPath = named === undefined ? path : path === '' ? named : `${path}.${named}`
    if ((ts.isTypeReferenceNode(node) || ts.isExpressionWithTypeArguments(node)) && isOurs(node)) {
      const symbol = checker.getSymbolAtLocation(ts.isTypeReferenceNode(node) ? node.typeName : node.expression)
      const target = symbol && resolve(symbol)
      const isLocal =
        target?.declarations?.every((declaration) => ts.isTypeParameterDeclaration(declaration) || !isOurs(declaration)) ?? true
      if (target !== undefined && !isLocal && !exported.has(target)) unexported.add(target.name)
      if (target?.declarations !== undefined && isLocal && !target.declarations.some(isInES2022)) unknownToES2022.add(target.name)
    }
    if (ts.isPropertySignature(node) && node.questionToken !== undefined && node.type !== undefined) {
      const type = checker.getTypeFromTypeNode(node.type)
      optionalProperties.push({ path: fullPath, acceptsUndefined: acceptsUndefined(type) })
    }
    if (ts.isMethodSignature(node) && node.questionToken !== undefined) optionalProperties.push({ path: fullPath, acceptsUndefined: false })
    for (const child of ts.isFunctionLike(node) || ts.isVariableDeclaration(node) ? signatureOf(node) : children(node))
      visit(child, fullPath)
  }
  for (const symbol of exported) for (const declaration of symbol.declarations ?? []) visit(declaration, '')
  return { unexported: [...unexported].toSorted(), unknownToES2022: [...unknownToES2022].toSorted(), optionalProperties }
}

const isOurs = (node: ts.Node): boolean => node.getSourceFile().fileName.startsWith(`${ROOT}src/`)

/** Whether a compiler with `lib: ["es2022"]` knows the type, or the declarations of this package include it. */
const isInES2022 = (node: ts.Declaration): boolean =>
  ts.isTypeParameterDeclaration(node) || /\/lib\.(es5|es20(1\d|2[0-2])|esnext\.disposable)\b/.test(node.getSourceFile().fileName)

const acceptsUndefined = (type: ts.Type): boolean =>
  (type.flags & (ts.TypeFlags.Undefined | ts.TypeFlags.Unknown)) !== 0 || (type.isUnion() && type.types.some(acceptsUndefined))

/** Whether a declaration file omits a member, or shows only its name. */
function isHidden(node: ts.Node): boolean {
  if (ts.isBlock(node)) return true
  if (!ts.isClassElement(node)) return false
  const isPrivate = ts.canHaveModifiers(node) && (ts.getModifiers(node) ?? []).some(({ kind }) => kind === ts.SyntaxKind.PrivateKeyword)
  return isPrivate || (node.name !== undefined && ts.isPrivateIdentifier(node.name))
}

function nameOf(node: ts.Node): string | undefined {
  if (!ts.isClassElement(node) && !ts.isTypeElement(node) && !ts.isInterfaceDeclaration(node) && !ts.isClassDeclaration(node)) {
    if (!ts.isTypeAliasDeclaration(node) && !ts.isFunctionDeclaration(node)) return undefined
  }
  return (node as ts.NamedDeclaration).name?.getText()
}

function children(node: ts.Node): readonly ts.Node[] {
  const found: ts.Node[] = []
  ts.forEachChild(node, (child) => void found.push(child))
  // A declaration file does not show the value of a property.
  return ts.isPropertyDeclaration(node) ? found.filter((child) => child !== node.initializer) : found
}

/** The types in the signature of a function, or the type of a constant. */
function signatureOf(node: ts.SignatureDeclaration | ts.VariableDeclaration): readonly ts.Node[] {
  const types = ts.isVariableDeclaration(node)
    ? [node.type]
    : [...(node.typeParameters ?? []), ...node.parameters.map(({ type }) => type), node.type]
  return types.filter((type) => type !== undefined)
}
