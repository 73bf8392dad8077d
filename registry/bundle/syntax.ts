import type { Node, Program } from 'oxc-parser'
import { parseSync, visitorKeys } from 'oxc-parser'
import { LockstepError } from '../../kernel/errors.ts'

/**
 * Parses a module; positions are indexes into `text`. @throws LockstepError `DEFINITIONS_INVALID` naming file and line
 */
export function parseModule(file: string, text: string): Program {
  const { program, errors } = parseSync(file, text)
  const error = errors.find((e) => String(e.severity) === 'Error')
  if (error !== undefined) {
    const line = lineOf(text, error.labels[0]?.start ?? 0)
    throw new LockstepError('DEFINITIONS_INVALID', `The file "${file}" does not parse at line ${line}: ${error.message}.`, {
      details: { file, line },
    })
  }
  return program
}

/** The line of an index, from 1. */
export function lineOf(text: string, index: number): number {
  let line = 1
  for (let at = text.indexOf('\n'); at !== -1 && at < index; at = text.indexOf('\n', at + 1)) line++
  return line
}

/** The child nodes of a node, in the order of the source, each with the field that holds it. */
export function children(node: Node): { readonly field: string; readonly node: Node }[] {
  const found: { field: string; node: Node }[] = []
  for (const field of visitorKeys[node.type] ?? []) {
    const value: unknown = Reflect.get(node, field)
    for (const child of Array.isArray(value) ? (value as unknown[]) : [value]) if (isNode(child)) found.push({ field, node: child })
  }
  return found
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value
}

/** Whether `test` holds for the node or one below it, without entering functions that run later. */
export function someOutsideFunctions(node: Node, test: (node: Node) => boolean): boolean {
  if (test(node)) return true
  if (node.type === 'FunctionExpression' || node.type === 'FunctionDeclaration' || node.type === 'ArrowFunctionExpression') return false
  return children(node).some((child) => someOutsideFunctions(child.node, test))
}

/** The names that a pattern binds: `{ a, b: [c] }` binds a and c. */
export function boundNames(pattern: Node): string[] {
  switch (pattern.type) {
    case 'Identifier':
      return [pattern.name]
    case 'ObjectPattern':
      return pattern.properties.flatMap((p) => boundNames(p.type === 'RestElement' ? p.argument : p.value))
    case 'ArrayPattern':
      return pattern.elements.flatMap((e) => (e === null ? [] : boundNames(e)))
    case 'AssignmentPattern':
      return boundNames(pattern.left)
    case 'RestElement':
      return boundNames(pattern.argument)
    default:
      return []
  }
}
