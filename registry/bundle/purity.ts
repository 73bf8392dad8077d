import type { Node, Program } from 'oxc-parser'
import { freeReferences } from './free-references.ts'
import { keptRegExps } from './kept-regexps.ts'
import { awaitMarker, definitionMarker } from './rewrite-module.ts'
import { children } from './syntax.ts'

/** A part of a bundle that makes its result depend on more than its input. */
export interface Impurity {
  /** Its name, for messages after "uses": `Math.random`. */
  readonly what: string
  /** Its position in the bundle's text. */
  readonly at: number
  /** Whether it is a marker left by `rewriteModule`. */
  readonly marker: boolean
}

/**
 * The ECMAScript globals whose results depend only on their arguments. `Promise` is not included: its callbacks run
 * outside the time limit of a call, and an endless chain of promises blocks the process.
 */
const deterministicGlobals: ReadonlySet<string> = new Set(
  (
    'undefined NaN Infinity isNaN isFinite parseInt parseFloat encodeURI encodeURIComponent decodeURI decodeURIComponent escape unescape ' +
    'Object Array String Number Boolean BigInt Symbol Math Date JSON Map Set WeakMap WeakSet RegExp Reflect Proxy Iterator ' +
    'Error AggregateError EvalError RangeError ReferenceError SyntaxError TypeError URIError ArrayBuffer DataView ' +
    'Int8Array Uint8Array Uint8ClampedArray Int16Array Uint16Array Int32Array Uint32Array BigInt64Array BigUint64Array Float16Array Float32Array Float64Array'
  ).split(' '),
)

/** Methods whose results depend on the machine's time zone or locale. */
const localMethods: ReadonlySet<string> = new Set(
  (
    'getDate getDay getFullYear getHours getMilliseconds getMinutes getMonth getSeconds getYear getTimezoneOffset ' +
    'setDate setFullYear setHours setMilliseconds setMinutes setMonth setSeconds setYear ' +
    'toLocaleString toLocaleDateString toLocaleTimeString toLocaleLowerCase toLocaleUpperCase localeCompare toDateString toTimeString'
  ).split(' '),
)

/**
 * Finds everything impure in a bundle, including unreachable code, in the order of its text. References to definitions
 * come last, because a bundle with `eval` in it contains everything.
 */
export function impurities(program: Program): Impurity[] {
  const found: Impurity[] = []
  for (const { name, node, parent } of freeReferences(program)) {
    const what = impureGlobal(name, parent)
    if (what !== null) found.push({ what, at: node.start, marker: name === definitionMarker || name === awaitMarker })
  }
  visit(program, false, found)
  for (const { what, at } of keptRegExps(program)) found.push({ what, at, marker: false })
  return found.sort((a, b) => Number(a.marker) - Number(b.marker) || a.at - b.at)
}

function impureGlobal(name: string, parent: Node): string | null {
  if (name === definitionMarker) return `the definition ${literalArgument(parent)}; a transform reads its input and helpers only`
  if (name === awaitMarker) return `${literalArgument(parent)}, a value that is awaited at module level`
  if (parent.type === 'UnaryExpression' && parent.operator === 'typeof') return null
  if (name === 'Date') {
    if (parent.type === 'NewExpression' && parent.arguments.length === 0) return 'new Date() without arguments'
    if (parent.type === 'CallExpression' && parent.callee.type === 'Identifier' && parent.callee.name === 'Date') return 'Date()'
    return reads(parent, 'now') ? 'Date.now' : null
  }
  if (name === 'Math') return reads(parent, 'random') ? 'Math.random' : null
  return deterministicGlobals.has(name) ? null : `the global "${name}"`
}

function visit(node: Node, insideFunction: boolean, found: Impurity[]): void {
  const report = (what: string): void => void found.push({ what, at: node.start, marker: false })
  let inside = insideFunction
  switch (node.type) {
    case 'ImportExpression':
      report('import()')
      break
    case 'MetaProperty':
      if (node.meta.name === 'import') report('import.meta')
      break
    case 'AwaitExpression':
      if (!insideFunction) report('await at module level')
      break
    case 'ForOfStatement':
      if (node.await && !insideFunction) report('await at module level')
      break
    case 'ImportDeclaration':
      report(`the import "${node.source.value}"`)
      break
    case 'MemberExpression': {
      const name = memberName(node)
      if (name !== null && localMethods.has(name)) report(`${name}, which depends on the machine's time zone or language; use the UTC form`)
      if (name === 'now' && isConstructor(node.object)) report('Date.now')
      if (name === 'fromAsync') report('fromAsync, which returns a promise')
      if (name === 'constructor' && isFunctionOrConstructor(node.object)) report(codeFromText)
      break
    }
    case 'CallExpression':
      // only calls: packages create an object of another's kind by `new x.constructor(…)`, a NewExpression
      if (isConstructor(node.callee)) report(codeFromText)
      break
    case 'FunctionDeclaration':
    case 'FunctionExpression':
    case 'ArrowFunctionExpression':
      if (node.async) report('an async function')
      inside = true
      break
    default:
  }
  for (const child of children(node)) visit(child.node, inside, found)
}

const codeFromText = 'a function created from text (a call of "constructor")'

function isConstructor(node: Node): boolean {
  return memberName(node) === 'constructor'
}

/** Nodes whose `constructor` can only be `Function`. */
function isFunctionOrConstructor(node: Node): boolean {
  if (node.type === 'ParenthesizedExpression') return isFunctionOrConstructor(node.expression)
  return (
    node.type === 'ArrowFunctionExpression' || node.type === 'FunctionExpression' || node.type === 'ClassExpression' || isConstructor(node)
  )
}

/** Whether the parent node reads this member of an object: `object.name`, or `const { name } = object`. */
function reads(parent: Node, name: string): boolean {
  if (memberName(parent) === name) return true
  const pattern = parent.type === 'VariableDeclarator' ? parent.id : parent.type === 'AssignmentExpression' ? parent.left : null
  if (pattern?.type !== 'ObjectPattern') return false
  return pattern.properties.some(
    (property) => property.type === 'Property' && property.key.type === 'Identifier' && !property.computed && property.key.name === name,
  )
}

function memberName(node: Node): string | null {
  if (node.type !== 'MemberExpression') return null
  if (!node.computed) return node.property.type === 'Identifier' ? node.property.name : null
  return node.property.type === 'Literal' && typeof node.property.value === 'string' ? node.property.value : null
}

function literalArgument(call: Node): string {
  const first = call.type === 'CallExpression' ? call.arguments[0] : undefined
  return first?.type === 'Literal' ? `"${String(first.value)}"` : 'that it names'
}
