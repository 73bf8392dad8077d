import type { ServicePlan } from '../../kernel/service-plan.ts'

/** Counts the rows that a server would refuse: in all, and by the required feature that they lack. */
export interface MissingRequired {
  /** @param missing by row, the names of what it lacks */
  update(missing: readonly (readonly string[])[]): void
  rows(): number
  byFeature(): Readonly<Record<string, number>>
}

export function countMissingRequired(service: ServicePlan): MissingRequired {
  const counts = new Map(service.required.map((name) => [name, 0]))
  let rows = 0
  return {
    update(missing) {
      for (const names of missing) {
        if (names.length === 0) continue
        rows++
        for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
      }
    },
    rows: () => rows,
    byFeature: () => Object.fromEntries(counts),
  }
}
