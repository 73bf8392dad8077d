/** The JavaScript objects that all code shares: constructors, their prototypes, and unnamed prototypes. */
const shared: ReadonlyMap<string, object> = new Map(
  [
    Object,
    Function,
    Array,
    String,
    Number,
    Boolean,
    BigInt,
    Symbol,
    Date,
    RegExp,
    Error,
    Map,
    Set,
    WeakMap,
    Promise,
    ArrayBuffer,
    Float32Array,
  ]
    .flatMap((owner): [string, object][] => [
      [owner.name, owner],
      [`${owner.name}.prototype`, owner.prototype as object],
    ])
    .concat([
      ['Math', Math],
      ['JSON', JSON],
      ['Reflect', Reflect],
      ['the prototype of iterators', Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())) as object],
    ]),
)

/**
 * Runs `work`, which must be synchronous, and undoes its changes to the objects that all code shares. Otherwise other
 * transforms and this process would see them.
 *
 * @param impure creates the error from the name of the changed property: `Object.prototype.x`
 */
export function withUnchangedGlobals<T>(work: () => T, impure: (what: string) => Error): T {
  const before = new Map([...shared.values()].map((owner) => [owner, propertiesOf(owner)] as const))
  const putBack = (): void => {
    const changed: string[] = []
    for (const [name, owner] of shared) restore(name, owner, before.get(owner) ?? new Map(), changed)
    if (changed.length > 0) throw impure(changed[0] as string)
  }
  let result: T
  try {
    result = work()
  } catch (error) {
    // the error may be a result of the change
    putBack()
    throw error
  }
  putBack()
  return result
}

type Properties = ReadonlyMap<PropertyKey, PropertyDescriptor>

/** A map, because an object would inherit what was added to `Object.prototype`. */
function propertiesOf(owner: object): Properties {
  const found = new Map<PropertyKey, PropertyDescriptor>()
  for (const key of Reflect.ownKeys(owner)) {
    const property = Reflect.getOwnPropertyDescriptor(owner, key)
    if (property !== undefined) found.set(key, property)
  }
  return found
}

function restore(name: string, owner: object, before: Properties, changed: string[]): void {
  const after = propertiesOf(owner)
  for (const key of new Set([...after.keys(), ...before.keys()])) {
    const [was, is] = [before.get(key), after.get(key)]
    if (was !== undefined && is !== undefined && Object.is(was.value, is.value) && was.get === is.get && was.set === is.set) continue
    changed.push(`${name}.${String(key)}`)
    if (was === undefined) Reflect.deleteProperty(owner, key)
    else Reflect.defineProperty(owner, key, was)
  }
}
