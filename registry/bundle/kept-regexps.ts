import type { Node } from 'oxc-parser'
import { children } from './syntax.ts'

// A regular expression with the flag g or y stores its position in `lastIndex`, so the results of `test` and `exec`
// depend on earlier calls. If it lives longer than one call of the transform, it carries that state from row to row.

/**
 * Places where a bundle uses such a module-level regular expression, as in `/a/g.test(…)`, even if no sample runs them.
 */
export function keptRegExps(program: Node): { readonly what: string; readonly at: number }[] {
  const kept = new Map<string, string>()
  collect(program, kept)
  const found: { what: string; at: number }[] = []
  const visit = (node: Node): void => {
    if (node.type === 'MemberExpression' && !node.computed && node.object.type === 'Identifier' && node.property.type === 'Identifier') {
      const text = kept.get(node.object.name)
      if (text !== undefined && stateful.has(node.property.name))
        found.push({
          what: `${node.object.name}.${node.property.name}, where ${node.object.name} is ${text} and ${remembers}`,
          at: node.start,
        })
    }
    for (const child of children(node)) visit(child.node)
  }
  visit(program)
  return found
}

const stateful: ReadonlySet<string> = new Set(['test', 'exec', 'lastIndex'])
const remembers = 'keeps its position between calls; remove its flags g and y, or create it inside the function'

/** Collects the variables outside of functions that hold such a regular expression, with its text. */
function collect(node: Node, kept: Map<string, string>): void {
  if (node.type === 'FunctionDeclaration' || node.type === 'FunctionExpression' || node.type === 'ArrowFunctionExpression') return
  if (node.type === 'VariableDeclarator' && node.id.type === 'Identifier' && node.init !== null) {
    const text = regExpText(node.init)
    if (text !== null) kept.set(node.id.name, text)
  }
  for (const child of children(node)) collect(child.node, kept)
}

function regExpText(node: Node): string | null {
  if (node.type === 'ParenthesizedExpression') return regExpText(node.expression)
  if (node.type === 'Literal' && 'regex' in node) return /[gy]/.test(node.regex.flags) ? `/${node.regex.pattern}/${node.regex.flags}` : null
  const isMade = node.type === 'NewExpression' || node.type === 'CallExpression'
  if (!isMade || node.callee.type !== 'Identifier' || node.callee.name !== 'RegExp') return null
  const [, flags] = node.arguments
  return flags?.type === 'Literal' && typeof flags.value === 'string' && /[gy]/.test(flags.value)
    ? `a RegExp with the flags "${flags.value}"`
    : null
}

export interface RegExpWatch {
  /** Starts another call of the transform. */
  begin(): void
  /** A regular expression on which `test` or `exec` was called in two calls of the transform; null: none. */
  readonly kept: string | null
  stop(): void
}

/**
 * Watches, while a transform is tried, the regular expressions that the text of the code does not show, such as one in
 * a closure. With the flag g, `replace`, `match` and similar methods leave no state behind.
 */
export function watchRegExps(): RegExpWatch {
  const askedIn = new WeakMap<RegExp, number>()
  const harmless = new Set<RegExp>()
  let call = 0
  let kept: string | null = null
  const { exec } = RegExp.prototype
  const wrapped = ([Symbol.replace, Symbol.match, Symbol.search] as const).map(
    (name) => [name, RegExp.prototype[name] as Operation] as const,
  )

  define('exec', function (this: RegExp, text: string) {
    if ((this.global || this.sticky) && !harmless.has(this)) {
      if ((askedIn.get(this) ?? call) !== call) kept ??= `the regular expression ${String(this)} in several calls, which ${remembers}`
      askedIn.set(this, call)
    }
    return exec.call(this, text)
  })
  for (const [name, operation] of wrapped) {
    define(name, function (this: RegExp, ...args: unknown[]) {
      if ((!this.global && name !== Symbol.search) || harmless.has(this)) return operation.apply(this, args)
      harmless.add(this)
      try {
        return operation.apply(this, args)
      } finally {
        harmless.delete(this)
      }
    })
  }
  return {
    begin: () => void call++,
    get kept() {
      return kept
    },
    stop() {
      define('exec', exec)
      for (const [name, operation] of wrapped) define(name, operation)
    },
  }
}

type Operation = (this: RegExp, ...args: unknown[]) => unknown

/** The prototype of all regular expressions. */
const shared: RegExp = RegExp.prototype

function define(name: string | symbol, value: unknown): void {
  Object.defineProperty(shared, name, { value, writable: true, configurable: true, enumerable: false })
}
