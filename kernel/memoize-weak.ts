/**
 * Makes one value for each object, and keeps it for as long as the object lives: what was compiled for a plan, or what
 * a process knows of a database.
 */
export function memoizeWeak<Owner extends object, Value>(make: (owner: Owner) => Value): (owner: Owner) => Value {
  const known = new WeakMap<Owner, Value>()
  return (owner) => {
    let value = known.get(owner)
    if (value === undefined) {
      value = make(owner)
      known.set(owner, value)
    }
    return value
  }
}
