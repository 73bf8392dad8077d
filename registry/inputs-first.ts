/**
 * Things in an order in which each comes after those that it takes as inputs; what is not among them is passed over.
 * Else their order stays.
 */
export function inputsFirst<T>(things: readonly T[], idOf: (thing: T) => string, inputsOf: (thing: T) => readonly string[]): T[] {
  const byId = new Map(things.map((thing) => [idOf(thing), thing]))
  const ordered = new Set<T>()
  const met = new Set<T>()
  const visit = (thing: T): void => {
    if (met.has(thing)) return
    met.add(thing)
    for (const id of inputsOf(thing)) {
      const input = byId.get(id)
      if (input !== undefined) visit(input)
    }
    ordered.add(thing)
  }
  for (const thing of things) visit(thing)
  return [...ordered]
}
