import type { Node } from 'oxc-parser'
import { children, parseModule } from './syntax.ts'

/**
 * Takes the paths out of a bundle: esbuild names the wrapped CommonJS modules,
 * `__commonJS({"../node_modules/x/index.js"(exports) {…}})`, after their place on the disk, which must not be part of
 * the code's hash.
 */
export function anonymousModules(expression: string): string {
  const keys: { readonly start: number; readonly end: number }[] = []
  collect(parseModule('bundle.js', `(${expression})`), keys)
  let result = expression
  for (const key of keys.toReversed()) result = `${result.slice(0, key.start - 1)}"m"${result.slice(key.end - 1)}`
  return result
}

function collect(node: Node, keys: { start: number; end: number }[]): void {
  if (node.type === 'CallExpression' && node.callee.type === 'Identifier' && /^__(commonJS|esm)/.test(node.callee.name)) {
    const [first] = node.arguments
    if (first?.type === 'ObjectExpression' && first.properties[0]?.type === 'Property' && first.properties[0].key.type === 'Literal') {
      keys.push({ start: first.properties[0].key.start, end: first.properties[0].key.end })
    }
  }
  for (const child of children(node)) collect(child.node, keys)
}
