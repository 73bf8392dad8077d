import type { Node, Program } from 'oxc-parser'
import type { StaticDefinition } from './module-definitions.ts'
import { dslNames, unwrapped } from './module-definitions.ts'
import { children } from './syntax.ts'

/** The DSL functions that take a transform. */
const transforming = ['featureView', 'onDemandView', 'outcome']

/**
 * Finds the DSL functions that a module uses in any other way than in module-level definitions: called in a function,
 * under a computed name, passed on as a value, or exported. Definitions made so may have any name.
 */
export function otherUses(
  program: Program,
  definitions: readonly StaticDefinition[],
  isLockstep: (specifier: string) => boolean,
): ReadonlySet<string> {
  const dsl = dslNames(program, isLockstep)
  const plain = new Set(definitions.filter(({ name }) => name !== null).map(({ declarator }) => calleeOf(declarator.init)))
  const found = new Set<string>()
  const visit = (node: Node): void => {
    if (plain.has(node) || node.type === 'ImportDeclaration') return
    if ((node.type === 'ExportNamedDeclaration' || node.type === 'ExportAllDeclaration') && isLockstep(node.source?.value ?? '')) {
      for (const name of transforming) found.add(name)
    }
    if (node.type === 'Identifier') {
      const name = dsl.functions.get(node.name)
      if (name !== undefined) found.add(name)
      if (dsl.namespaces.has(node.name)) for (const each of transforming) found.add(each)
    }
    const member = node.type === 'MemberExpression' && !node.computed && node.object.type === 'Identifier' ? node : null
    if (member !== null && member.object.type === 'Identifier' && dsl.namespaces.has(member.object.name)) {
      if (member.property.type === 'Identifier') found.add(member.property.name)
    } else {
      for (const child of children(node)) visit(child.node)
    }
  }
  visit(program)
  return found
}

function calleeOf(init: StaticDefinition['declarator']['init']): Node | null {
  const call = unwrapped(init)
  return call.type === 'CallExpression' ? call.callee : null
}
