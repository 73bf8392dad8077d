import type { LockstepError } from '../../kernel/errors.ts'

/**
 * Runs `work`, which must not be asynchronous, while what every value has at hand as its `constructor` gives no way
 * around the names that are shadowed: the constructors that make functions out of text cannot be called, and a date's
 * has no clock. To read and to compare them is as ever. `Array.fromAsync`, which makes promises, cannot be called
 * either.
 *
 * @param impure the error for a use, which is thrown whatever `work` makes of it
 */
export function withoutHiddenGlobals<T>(work: () => T, impure: (what: string) => LockstepError): T {
  const uses: LockstepError[] = []
  const refuse = (what: string): never => {
    const error = impure(what)
    uses.push(error)
    throw error
  }
  const restore = [
    ...functions.map((owner) => replace(owner, 'constructor', textless(refuse))),
    replace(Date.prototype, 'constructor', clockless(refuse)),
    replace(Array, 'fromAsync', { apply: () => refuse('fromAsync, which returns a promise') }),
  ]
  let result: T
  try {
    result = work()
  } catch (error) {
    throw uses[0] ?? error
  } finally {
    for (const each of restore) each()
  }
  const [first] = uses
  if (first !== undefined) throw first
  return result
}

/** The two prototypes that synchronous functions have. */
const functions = [() => {}, function* () {}].map((each) => Object.getPrototypeOf(each) as object)

type Refuse = (what: string) => never

function textless(refuse: Refuse): ProxyHandler<Constructor> {
  const refused = (target: Constructor): never => refuse(`a function created from text (${target.name})`)
  return { apply: refused, construct: refused }
}

function clockless(refuse: Refuse): ProxyHandler<Constructor> {
  return {
    apply: () => refuse('Date()'),
    construct: (target, args: unknown[], newTarget) =>
      args.length === 0 ? refuse('new Date() without arguments') : (Reflect.construct(target, args, newTarget) as object),
    get: (target, property, receiver) => (property === 'now' ? refuse('Date.now') : (Reflect.get(target, property, receiver) as unknown)),
  }
}

type Constructor = new (...args: unknown[]) => object

/** @returns what puts the property back */
function replace(owner: object, name: string, handler: ProxyHandler<Constructor>): () => void {
  const property = Object.getOwnPropertyDescriptor(owner, name)
  if (property === undefined) return () => undefined
  Object.defineProperty(owner, name, { ...property, value: new Proxy(property.value as Constructor, handler) })
  return () => void Object.defineProperty(owner, name, property)
}
