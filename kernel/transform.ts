import { LockstepError, messageOf } from './errors.ts'

/**
 * The stored form of a row transform or an on-demand transform: the text of an expression whose value is the function
 * (see registry/bundle).
 */
export type TransformFunction = (input: never) => unknown

/**
 * Names that stored code must not use. At run time, parameters that are undefined shadow them. `Date` and `Math` are
 * replaced by versions without the clock and without randomness. This keeps honest code pure. It is not a security
 * boundary: stored code is trusted.
 */
const shadowedNames = [
  'globalThis',
  'global',
  'process',
  'require',
  'module',
  'exports',
  'fetch',
  'XMLHttpRequest',
  'WebSocket',
  'EventSource',
  'performance',
  'crypto',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'clearTimeout',
  'clearInterval',
  'clearImmediate',
  'queueMicrotask',
  'Promise',
  'structuredClone',
  'console',
  'Buffer',
  'Intl',
  'WebAssembly',
  'Worker',
  'SharedArrayBuffer',
  'Atomics',
  'navigator',
  'localStorage',
  'sessionStorage',
  'Temporal',
  'Function',
  'FinalizationRegistry',
  'WeakRef',
  'gc',
] as const

/** Turns the stored code of a view into its function. */
export type LoadTransform = (code: string, what: string) => TransformFunction

/**
 * Evaluates `code` (the text of one expression) to a function, in a scope without clock, randomness or I/O.
 *
 * @param scope further values that the code can use, by name
 * @throws LockstepError `TRANSFORM_FAILED` naming `what` if the code does not evaluate to a function
 */
export function loadTransform(code: string, what: string, scope: Readonly<Record<string, unknown>> = {}): TransformFunction {
  let value: unknown
  try {
    const build = new Function('Date', 'Math', ...Object.keys(scope), ...shadowedNames, `"use strict"; return (${code}\n)`)
    value = build(pureDate, pureMath, ...Object.values(scope))
  } catch (cause) {
    throw new LockstepError(
      'TRANSFORM_FAILED',
      `The stored code of "${what}" does not load: ${messageOf(cause)}. Apply the definition again.`,
      { cause },
    )
  }
  if (typeof value !== 'function')
    throw new LockstepError('TRANSFORM_FAILED', `The stored code of "${what}" is not a function. Apply the definition again.`)
  return value as TransformFunction
}

const pureMath: object = Object.freeze(
  Object.defineProperties(Object.create(null), {
    ...Object.getOwnPropertyDescriptors(Math),
    random: { value: refused('Math.random()'), enumerable: false },
  }),
)

/**
 * Allows `new Date(x)`, `Date.UTC`, and `Date.parse` of a text with a time zone. `new Date()`, `Date()` and
 * `Date.now()` read the clock and are refused.
 */
const pureDate: unknown = new Proxy(Date, {
  construct(target, args: []) {
    if (args.length === 0) refused('new Date()')()
    return Reflect.construct(target, args) as object
  },
  apply: refused('Date()'),
  get(target, property) {
    return property === 'now' ? refused('Date.now()') : (Reflect.get(target, property) as unknown)
  },
})

function refused(what: string): () => never {
  return () => {
    throw new LockstepError(
      'TRANSFORM_IMPURE',
      `A transform called ${what}; it must depend only on its input (an on-demand transform gets its moment as "asOf").`,
    )
  }
}

/**
 * The error of a transform call that exceeds its time limit.
 *
 * @param call the purpose of the call: `on the row at 2026-03-01T10:00:00Z`; absent: not known
 */
export function transformTimeout(view: string, timeoutMs: number, call?: string): LockstepError {
  return new LockstepError(
    'TRANSFORM_TIMEOUT',
    `The transform of "${view}" did not end ${call === undefined ? '' : `${call} `}within ${timeoutMs} ms and was stopped. Send other values, or correct it in a new version: limit its loops, and avoid nested repetition in regular expressions.`,
    { details: { view, timeoutMs } },
  )
}

/** Adds to a timeout what the transform was called for. Returns null for any other failure. */
export function timeoutOfCall(cause: unknown, call: string): LockstepError | null {
  if (!(cause instanceof LockstepError) || cause.code !== 'TRANSFORM_TIMEOUT') return null
  const { view, timeoutMs } = cause.details
  return typeof view === 'string' && typeof timeoutMs === 'number' ? transformTimeout(view, timeoutMs, call) : cause
}
