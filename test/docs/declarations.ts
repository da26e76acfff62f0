import ts from 'typescript'
import { type Page, pagesUnder } from './pages.ts'

type Declared = ts.InterfaceDeclaration | ts.ClassDeclaration | ts.TypeAliasDeclaration

const sources: readonly Page[] = pagesUnder('src', /\.ts$/)

/** The exported interface, class or type of this name. Throws unless src/ declares it exactly once. */
function declarationOf(name: string): Declared {
  const pattern = new RegExp(`^export (?:abstract )?(?:interface|class|type) ${name}\\b`, 'm')
  const found = sources.filter(({ text }) => pattern.test(text)).flatMap(({ path, text }) => declarationsIn(path, text, name))
  const [declared] = found
  if (declared === undefined || found.length > 1) throw new Error(`${name} is declared ${found.length} times in src`)
  return declared
}

function declarationsIn(path: string, text: string, name: string): Declared[] {
  return sourceFile(path, text).statements.filter(
    (statement): statement is Declared =>
      (ts.isInterfaceDeclaration(statement) || ts.isClassDeclaration(statement) || ts.isTypeAliasDeclaration(statement)) &&
      statement.name?.text === name,
  )
}

function sourceFile(path: string, text: string): ts.SourceFile {
  return ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
}

/** The names of the public members of an interface or a class, in order. Inherited members are left out. */
export function membersOf(name: string): string[] {
  return publicMembers(declarationOf(name)).map(([member]) => member)
}

/** Like {@link membersOf}, with the parameters of each method: `end(reason?)`. */
export function signaturesOf(name: string): string[] {
  const declared = declarationOf(name)
  if (ts.isTypeAliasDeclaration(declared)) throw new Error(`${name} is a type without members`)
  const members: readonly (ts.TypeElement | ts.ClassElement)[] = declared.members
  return members.flatMap((member) => {
    const { name: called } = member
    if (called === undefined || !ts.isIdentifier(called)) return []
    if (!(ts.isMethodDeclaration(member) || ts.isMethodSignature(member))) return [called.text]
    const parameters = member.parameters.map(
      ({ name: parameter, questionToken, initializer }) => `${parameter.getText()}${(questionToken ?? initializer) ? '?' : ''}`,
    )
    return [`${called.text}(${parameters.join(', ')})`]
  })
}

/** Like {@link membersOf}, but a member that is an object is replaced by its own members: `requests.total`. */
export function deepMembersOf(name: string): string[] {
  return publicMembers(declarationOf(name)).flatMap(([member, type]) =>
    type !== undefined && ts.isTypeLiteralNode(type) ? namesIn(type.members).map(([inner]) => `${member}.${inner}`) : [member],
  )
}

/** For an interface whose members are objects: each member with the names of its fields. */
export function fieldsOfMembers(name: string): Record<string, string[]> {
  const entries = publicMembers(declarationOf(name)).map(([member, type]) => {
    if (type === undefined || !ts.isTypeLiteralNode(type)) throw new Error(`${name}.${member} is not declared as an object`)
    return [member, namesIn(type.members).map(([inner]) => inner)] as const
  })
  return Object.fromEntries(entries)
}

/** The name of the class that this class extends. */
export function baseOf(name: string): string | undefined {
  const declared = declarationOf(name)
  const clauses = ts.isTypeAliasDeclaration(declared) ? undefined : declared.heritageClauses
  const extended = clauses?.find(({ token }) => token === ts.SyntaxKind.ExtendsKeyword)
  return extended?.types[0]?.expression.getText()
}

/** Whether the doc comment of an exported class, function or type has an `@example`. */
export function hasExample(name: string): boolean {
  const declared = new RegExp(`^export (?:abstract |async )?(?:class|function|type) ${name}\\b`, 'm')
  const statements = sources.filter(({ text }) => declared.test(text)).flatMap(({ path, text }) => [...sourceFile(path, text).statements])
  return statements.some((statement) => {
    const isDeclared = ts.isClassDeclaration(statement) || ts.isFunctionDeclaration(statement) || ts.isTypeAliasDeclaration(statement)
    return isDeclared && statement.name?.text === name && isExample(statement)
  })
}

/** The methods of a class by name, each with whether its doc comment has an `@example`. */
export function methodsOf(name: string): [name: string, hasExample: boolean][] {
  const declared = declarationOf(name)
  if (!ts.isClassDeclaration(declared)) throw new Error(`${name} is no class`)
  return declared.members.flatMap((member): [string, boolean][] =>
    ts.isMethodDeclaration(member) && ts.isIdentifier(member.name) ? [[member.name.text, isExample(member)]] : [],
  )
}

function isExample(node: ts.Node): boolean {
  return ts.getJSDocTags(node).some(({ tagName }) => tagName.text === 'example')
}

/** The string literals in a type, such as `'a' | 'b'`. */
export function literalsOf(name: string): string[] {
  const texts: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isLiteralTypeNode(node) && ts.isStringLiteral(node.literal)) texts.push(node.literal.text)
    ts.forEachChild(node, visit)
  }
  visit(declarationOf(name))
  if (texts.length === 0) throw new Error(`${name} has no string literals`)
  return texts
}

function publicMembers(declared: Declared): [name: string, type: ts.TypeNode | undefined][] {
  if (ts.isTypeAliasDeclaration(declared)) throw new Error(`${declared.name.text} is a type without members`)
  return namesIn(declared.members)
}

function namesIn(members: readonly (ts.TypeElement | ts.ClassElement)[]): [name: string, type: ts.TypeNode | undefined][] {
  return members.flatMap((member): [string, ts.TypeNode | undefined][] => {
    const { name } = member
    if (name === undefined || !(ts.isIdentifier(name) || ts.isStringLiteral(name))) return []
    return [[name.text, ts.isPropertySignature(member) || ts.isPropertyDeclaration(member) ? member.type : undefined]]
  })
}
