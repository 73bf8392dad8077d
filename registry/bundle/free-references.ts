import type { Node, Program } from 'oxc-parser'
import { boundNames, children } from './syntax.ts'

/** A name that the program does not declare, with its enclosing nodes, the innermost last. */
export interface FreeReference {
  readonly name: string
  readonly node: Node
  readonly parent: Node
}

/** Finds every use of a name that the program does not declare, that is, its globals. Plain JavaScript only. */
export function freeReferences(program: Program): FreeReference[] {
  const found: FreeReference[] = []
  visit(program, program, [declared(program)], found)
  return found
}

type Scope = ReadonlySet<string>

function visit(node: Node, parent: Node, scopes: readonly Scope[], found: FreeReference[]): void {
  if (node.type === 'Identifier') {
    if (!scopes.some((scope) => scope.has(node.name))) found.push({ name: node.name, node, parent })
    return
  }
  const own = node === parent ? null : scopeOf(node)
  const inner = own === null ? scopes : [...scopes, own]
  for (const child of children(node)) if (!isPlainName(node, child.field)) visit(child.node, node, inner, found)
}

/** Whether the field has a name that is not a reference: a property or a label. */
function isPlainName(node: Node, field: string): boolean {
  switch (node.type) {
    case 'MemberExpression':
      return field === 'property' && !node.computed
    case 'Property':
    case 'MethodDefinition':
    case 'PropertyDefinition':
    case 'AccessorProperty':
      return field === 'key' && !node.computed
    case 'LabeledStatement':
    case 'BreakStatement':
    case 'ContinueStatement':
      return field === 'label'
    case 'MetaProperty':
      return true
    case 'ExportSpecifier':
      return field === 'exported'
    case 'ImportSpecifier':
      return field === 'imported'
    default:
      return false
  }
}

function scopeOf(node: Node): Scope | null {
  switch (node.type) {
    case 'FunctionDeclaration':
    case 'FunctionExpression':
    case 'ArrowFunctionExpression': {
      const names = new Set(node.params.flatMap((p) => boundNames(p)))
      if (node.type !== 'ArrowFunctionExpression') names.add('arguments')
      if (node.type === 'FunctionExpression' && node.id !== null) names.add(node.id.name)
      if (node.body !== null) for (const name of hoisted(node.body)) names.add(name)
      return names
    }
    case 'ClassExpression':
      return node.id === null ? null : new Set([node.id.name])
    case 'CatchClause':
      return new Set(node.param === null ? [] : boundNames(node.param))
    case 'BlockStatement':
    case 'StaticBlock':
    case 'SwitchStatement':
    case 'ForStatement':
    case 'ForInStatement':
    case 'ForOfStatement':
      return declared(node)
    default:
      return null
  }
}

/** The names that the statements directly inside a node declare, and the `var`s below them. */
function declared(node: Node): Set<string> {
  const names = new Set<string>(node.type === 'Program' || node.type === 'StaticBlock' ? hoisted(node) : [])
  const statements = children(node).flatMap((c) => (c.node.type === 'SwitchCase' ? c.node.consequent : [c.node]))
  for (const statement of statements) for (const name of declaredBy(statement)) names.add(name)
  return names
}

function declaredBy(statement: Node): string[] {
  switch (statement.type) {
    case 'VariableDeclaration':
      return statement.declarations.flatMap((d) => boundNames(d.id))
    case 'FunctionDeclaration':
    case 'ClassDeclaration':
      return statement.id === null ? [] : [statement.id.name]
    case 'ImportDeclaration':
      return statement.specifiers.map((s) => s.local.name)
    case 'ExportNamedDeclaration':
    case 'ExportDefaultDeclaration':
      return statement.declaration === null ? [] : declaredBy(statement.declaration)
    default:
      return []
  }
}

/** All `var`s of a function's body, at any depth. */
function hoisted(node: Node): string[] {
  return children(node).flatMap(({ node: child }) => {
    switch (child.type) {
      case 'FunctionDeclaration':
      case 'FunctionExpression':
      case 'ArrowFunctionExpression':
        return []
      case 'VariableDeclaration':
        return child.kind === 'var' ? [...child.declarations.flatMap((d) => boundNames(d.id)), ...hoisted(child)] : hoisted(child)
      default:
        return hoisted(child)
    }
  })
}
