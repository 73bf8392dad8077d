import type { CallExpression, Expression, Node, Program, VariableDeclarator } from 'oxc-parser'
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
      found.push({ call: name, declarator: declarator as StaticDefinition['declarator'], exported, ...argumentsOf(call) })
    }
  }
  return found
}

/** A DSL call anywhere in a module. */
export type DefinitionCall = Omit<StaticDefinition, 'declarator' | 'exported'> & { readonly start: number }

/** All DSL calls of a module, also those within functions, lists and other calls. */
export function definitionCalls(program: Program, isLockstep: (specifier: string) => boolean): DefinitionCall[] {
  const dsl = dslNames(program, isLockstep)
  const found: DefinitionCall[] = []
  const visit = (node: Node): void => {
    const call = node.type === 'CallExpression' ? dslFunction(node.callee, dsl) : null
    if (node.type === 'CallExpression' && call !== null) found.push({ call, start: node.start, ...argumentsOf(node) })
    for (const child of children(node)) visit(child.node)
  }
  visit(program)
  return found
}

/** All module-level variable declarations, exported or not. */
export function moduleVariables(program: Program) {
  return program.body.flatMap((statement) => {
    if (statement.type === 'VariableDeclaration') return [{ declaration: statement, exported: false }]
    if (statement.type === 'ExportNamedDeclaration' && statement.declaration?.type === 'VariableDeclaration') {
      return [{ declaration: statement.declaration, exported: true }]
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

function argumentsOf(call: CallExpression): Pick<StaticDefinition, 'name' | 'version' | 'versionAt' | 'transform'> {
  const [first, second] = call.arguments
  const name = first?.type === 'Literal' && typeof first.value === 'string' ? first.value : null
  const body = second === undefined || second.type === 'SpreadElement' ? null : unwrapped(second)
  let version: number | null = null
  let versionAt: StaticDefinition['versionAt'] = null
  let transform: StaticDefinition['transform'] = null
  if (body?.type === 'ObjectExpression') {
    for (const property of body.properties) {
      if (property.type === 'SpreadElement') {
        // a later spread may overwrite the version
        version = null
        transform = null
        continue
      }
      const key = property.computed
        ? null
        : property.key.type === 'Identifier'
          ? property.key.name
          : property.key.type === 'Literal'
            ? property.key.value
            : null
      if (key === 'version') {
        version = property.value.type === 'Literal' && typeof property.value.value === 'number' ? property.value.value : null
        versionAt = { start: property.value.start, end: property.value.end }
      }
      if (key === 'transform') {
        const range = property.method ? property : property.value
        transform = property.kind === 'init' ? { start: range.start, end: range.end, method: property.method } : null
      }
    }
  }
  return { name, version, versionAt, transform }
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
