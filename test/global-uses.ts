import { transformSync } from 'esbuild'
import { type Node, parseSync } from 'oxc-parser'
import { type FreeReference, freeReferences } from '../registry/bundle/free-references.ts'

/**
 * How a module of TypeScript uses the names that it does not declare: `process.env` for a member, however it is read
 * (`process.*` where the member is computed), `Date()` for a call, `new Date()` and `new Date(…)`, `instanceof Date`,
 * and `process` alone where the object itself is passed on.
 */
export function globalUses(text: string): Set<string> {
  const { code } = transformSync(text, { loader: 'ts', format: 'esm', target: 'esnext' })
  return new Set(freeReferences(parseSync('module.js', code).program).flatMap(uses))
}

function uses({ name, node, parent }: FreeReference): string[] {
  switch (parent.type) {
    case 'MemberExpression':
      return parent.object === node ? [`${name}.${parent.computed ? text(parent.property) : nameOf(parent.property)}`] : [name]
    case 'VariableDeclarator':
      return parent.id.type === 'ObjectPattern' ? members(name, parent.id) : [name]
    case 'AssignmentExpression':
    case 'AssignmentPattern':
      return parent.right === node && parent.left.type === 'ObjectPattern' ? members(name, parent.left) : [name]
    case 'CallExpression':
      return [parent.callee === node ? `${name}()` : name]
    case 'NewExpression':
      return [parent.callee === node ? `new ${name}(${parent.arguments.length === 0 ? '' : '…'})` : name]
    case 'BinaryExpression':
      return [parent.operator === 'instanceof' && parent.right === node ? `instanceof ${name}` : name]
    case 'UnaryExpression':
      return [parent.operator === 'typeof' ? `typeof ${name}` : name]
    default:
      return [name]
  }
}

function members(name: string, pattern: Node & { type: 'ObjectPattern' }): string[] {
  return pattern.properties.map((property) => {
    if (property.type === 'RestElement') return `${name}.*`
    return `${name}.${property.computed ? text(property.key) : nameOf(property.key)}`
  })
}

const nameOf = (node: Node): string => (node.type === 'Identifier' ? node.name : text(node))

function text(node: Node): string {
  if (node.type === 'Literal') return String(node.value)
  return node.type === 'TemplateLiteral' && node.expressions.length === 0 ? (node.quasis[0]?.value.cooked ?? '*') : '*'
}

/**
 * Whether a use reaches the environment: by name, by a computed name, or because the object that holds it is passed on.
 */
export const reachesEnvironment = (use: string): boolean => /^((globalThis|global)(\.(process|\*))?|process(\.(env|\*))?)$/.test(use)
export const reachesConsole = (use: string): boolean =>
  /^((globalThis|global)(\.(console|process|\*))?|console(\..*)?|process(\.(stdout|stderr|\*))?)$/.test(use)
export const reachesRequire = (use: string): boolean =>
  /^(require\b.*|process\.(getBuiltinModule|binding|mainModule|\*)|process)$/.test(use)

const pure =
  /^(new )?(Array|ArrayBuffer|BigInt|Boolean|Buffer|DataView|Error|Float64Array|Float32Array|Int32Array|JSON|Map|Number|Object|RangeError|Reflect|Set|String|Symbol|TypeError|Uint8Array|Uint32Array|WeakMap)(\.\w+)?(\(…?\))?$|^(undefined|NaN|Infinity|Math\.(?!random$)\w+|Date\.(UTC|parse)|new Date\(…\)|instanceof \w+|typeof \w+)$/

/** Whether a use is of what answers by its arguments alone: no clock, no chance, no machine. */
export const isPure = (use: string): boolean => pure.test(use)
