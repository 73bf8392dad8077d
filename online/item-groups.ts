/** Items that go together, as those of one server. */
interface Group<T, Of> {
  readonly of: Of
  readonly items: T[]
  /** The index of each item among all. */
  readonly at: number[]
}

export function groupBy<T, Of>(all: readonly T[], groupOf: (item: T) => Of): Group<T, Of>[] {
  const groups = new Map<Of, Group<T, Of>>()
  for (const [i, item] of all.entries()) {
    const of = groupOf(item)
    let group = groups.get(of)
    if (group === undefined) groups.set(of, (group = { of, items: [], at: [] }))
    group.items.push(item)
    group.at.push(i)
  }
  return [...groups.values()]
}

/** Undoes `groupBy`: by index of all items, the answers that are in the order of the groups. */
export function inOrder<T>(groups: readonly Group<unknown, unknown>[], answers: readonly (readonly T[])[]): T[] {
  const at = groups.flatMap((group) => group.at)
  const values = new Array<T>(at.length)
  let next = 0
  for (const answer of answers) for (const value of answer) values[at[next++] as number] = value
  return values
}
