import type { LockstepError } from '../../kernel/errors.ts'

/**
 * Runs `work`, which must be synchronous. Meanwhile the `constructor` of a value gives no way around the shadowed
 * names: constructors that create functions from text cannot be called, and the constructor of a date has no clock.
 * They can still be read and compared. `Array.fromAsync` cannot be called either, because it creates promises.
 *
 * @param impure creates the error for a use, which is thrown even if `work` catches it
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

/** The prototypes of the two kinds of synchronous functions. */
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

/** @returns a function that restores the property */
function replace(owner: object, name: string, handler: ProxyHandler<Constructor>): () => void {
  const property = Object.getOwnPropertyDescriptor(owner, name)
  if (property === undefined) return () => undefined
  Object.defineProperty(owner, name, { ...property, value: new Proxy(property.value as Constructor, handler) })
  return () => void Object.defineProperty(owner, name, property)
}
