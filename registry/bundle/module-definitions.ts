import type {
  CallExpression,
  Directive,
  Expression,
  Node,
  ObjectExpression,
  ObjectProperty,
  Program,
  Statement,
  VariableDeclaration,
  VariableDeclarator,
} from 'oxc-parser'
import { children } from './syntax.ts'

/** A module-level `const x = featureView('name', { … })`, or another DSL call. */
export interface StaticDefinition {
  /** The DSL function that is called: `featureView`. */
  readonly call: string
  readonly declarator: VariableDeclarator & { readonly init: Expression }
  readonly exported: boolean
  /** The name and version, if they are literals. */
  readonly name: string | null
  readonly version: number | null
  /** The position of the version's value, of whatever kind it is; null if none is written. */
  readonly versionAt: { readonly start: number; readonly end: number } | null
  /**
   * The position of the transform's source. `method` means that it is written as `transform(row) { … }`; the range then
   * covers the complete property.
   */
  readonly transform: { readonly start: number; readonly end: number; readonly method: boolean } | null
}

/**
 * The definitions that a module makes with module-level DSL calls. `isLockstep` says which import specifiers lead to
 * this package.
 */
export function moduleDefinitions(program: Program, isLockstep: (specifier: string) => boolean): StaticDefinition[] {
  const dsl = dslNames(program, isLockstep)
  const found: StaticDefinition[] = []
  for (const { declaration, exported } of moduleVariables(program)) {
    if (declaration.kind !== 'const') continue
    for (const declarator of declaration.declarations) {
      const call = declarator.init === null || declarator.id.type !== 'Identifier' ? null : unwrapped(declarator.init)
      if (call?.type !== 'CallExpression') continue
      const name = dslFunction(call.callee, dsl)
      if (name === null) continue
      found.push({ call: name, declarator: declarator as StaticDefinition['declarator'], exported, ...argumentsOf(name, call) })
    }
  }
  return found
}

/** A DSL call anywhere in a module. */
export type DefinitionCall = Omit<StaticDefinition, 'declarator' | 'exported'> & { readonly start: number }

/**
 * All DSL calls of a module, also those within functions, lists and other calls. Outside of functions, a version may be
 * a module-level constant, or stand in an object that is one.
 */
export function definitionCalls(program: Program, isLockstep: (specifier: string) => boolean): DefinitionCall[] {
  const dsl = dslNames(program, isLockstep)
  const constants = moduleConstants(program)
  const found: DefinitionCall[] = []
  const visit = (node: Node, known: Constants): void => {
    const call = node.type === 'CallExpression' ? dslFunction(node.callee, dsl) : null
    if (node.type === 'CallExpression' && call !== null) found.push({ call, start: node.start, ...argumentsOf(call, node, known) })
    // a parameter may have the name of a constant
    const within = /Function/.test(node.type) ? noConstants : known
    for (const child of children(node)) visit(child.node, within)
  }
  visit(program, constants)
  return found
}

type Constants = ReadonlyMap<string, Expression>
const noConstants: Constants = new Map()

function moduleConstants(program: Program): Constants {
  const declarators = moduleVariables(program).flatMap(({ declaration }) => (declaration.kind === 'const' ? declaration.declarations : []))
  return new Map(
    declarators.flatMap(({ id, init }) => (id.type === 'Identifier' && init !== null ? [[id.name, unwrapped(init)] as const] : [])),
  )
}

/** The value of a constant; any other expression as it is. */
function valueOf(expression: Expression, constants: Constants): Expression {
  const plain = unwrapped(expression)
  return plain.type === 'Identifier' ? (constants.get(plain.name) ?? plain) : plain
}

export interface ModuleVariable {
  /** The statement of the module: the declaration, or what exports it. */
  readonly statement: Statement | Directive
  readonly declaration: VariableDeclaration
  readonly exported: boolean
}

/** All module-level variable declarations, exported or not. */
export function moduleVariables(program: Program): ModuleVariable[] {
  return program.body.flatMap((statement): ModuleVariable[] => {
    if (statement.type === 'VariableDeclaration') return [{ statement, declaration: statement, exported: false }]
    if (statement.type === 'ExportNamedDeclaration' && statement.declaration?.type === 'VariableDeclaration') {
      return [{ statement, declaration: statement.declaration, exported: true }]
    }
    return []
  })
}

export interface DslNames {
  /** Maps `featureView`, or its name in the import, to the DSL function. */
  readonly functions: ReadonlyMap<string, string>
  readonly namespaces: ReadonlySet<string>
}

export function dslNames(program: Program, isLockstep: (specifier: string) => boolean): DslNames {
  const functions = new Map<string, string>()
  const namespaces = new Set<string>()
  for (const statement of program.body) {
    if (statement.type !== 'ImportDeclaration' || !isLockstep(statement.source.value)) continue
    for (const specifier of statement.specifiers) {
      if (specifier.type === 'ImportNamespaceSpecifier') namespaces.add(specifier.local.name)
      if (specifier.type !== 'ImportSpecifier') continue
      functions.set(specifier.local.name, specifier.imported.type === 'Literal' ? specifier.imported.value : specifier.imported.name)
    }
  }
  return { functions, namespaces }
}

function dslFunction(callee: Node, dsl: DslNames): string | null {
  if (callee.type === 'Identifier') return dsl.functions.get(callee.name) ?? null
  if (callee.type !== 'MemberExpression' || callee.computed || callee.object.type !== 'Identifier') return null
  return dsl.namespaces.has(callee.object.name) && callee.property.type === 'Identifier' ? callee.property.name : null
}

/** The field of a definition that holds its code. */
export function codeField(call: string): string {
  return call === 'outcome' ? 'value' : 'transform'
}

function argumentsOf(
  dsl: string,
  call: CallExpression,
  constants: Constants = noConstants,
): Pick<StaticDefinition, 'name' | 'version' | 'versionAt' | 'transform'> {
  const [first, second] = call.arguments
  const name = first?.type === 'Literal' && typeof first.value === 'string' ? first.value : null
  const body = second === undefined || second.type === 'SpreadElement' ? null : unwrapped(second)
  const found: Version = body?.type === 'ObjectExpression' ? versionIn(body, constants) : noVersion
  let transform: StaticDefinition['transform'] = null
  for (const property of body?.type === 'ObjectExpression' ? body.properties : []) {
    // a later spread may overwrite the transform
    if (property.type === 'SpreadElement') transform = null
    else if (keyOf(property) === codeField(dsl)) {
      const range = property.method ? property : property.value
      transform = property.kind === 'init' ? { start: range.start, end: range.end, method: property.method } : null
    }
  }
  return { name, ...found, transform }
}

type Version = Pick<StaticDefinition, 'version' | 'versionAt'>
const noVersion: Version = { version: null, versionAt: null }

/** The version in an object, also one that it spreads. A spread of anything else may overwrite it. */
function versionIn(object: ObjectExpression, constants: Constants, before: Version = noVersion): Version {
  let found = before
  for (const property of object.properties) {
    if (property.type === 'SpreadElement') {
      const spread = valueOf(property.argument, constants)
      found = spread.type === 'ObjectExpression' ? versionIn(spread, constants, found) : { ...found, version: null }
    } else if (keyOf(property) === 'version') {
      const value = valueOf(property.value, constants)
      found =
        value.type === 'Literal' && typeof value.value === 'number'
          ? { version: value.value, versionAt: { start: value.start, end: value.end } }
          : { version: null, versionAt: { start: property.value.start, end: property.value.end } }
    }
  }
  return found
}

function keyOf({ computed, key }: ObjectProperty): unknown {
  if (computed) return null
  return key.type === 'Identifier' ? key.name : key.type === 'Literal' ? key.value : null
}

/** Removes parentheses and type assertions around an expression. */
export function unwrapped(expression: Expression): Expression {
  switch (expression.type) {
    case 'ParenthesizedExpression':
    case 'TSAsExpression':
    case 'TSSatisfiesExpression':
    case 'TSNonNullExpression':
      return unwrapped(expression.expression)
    default:
      return expression
  }
}
