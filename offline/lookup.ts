import type { EntityKey } from '../kernel/values/entity-key.ts'
import type { TimeRule } from '../kernel/view-plan.ts'

/**
 * The values of the views under one mapping, for one entity at one moment. A row of a spine has one lookup for each
 * mapping. Lookups come ordered by key and time.
 */
export interface Lookup {
  readonly key: EntityKey
  /** Epoch microseconds. */
  readonly time: number
  /** The caller's number for it, such as the index of the spine row. */
  readonly ordinal: number
  /** By index of `pass.mappings`. */
  readonly mapping: number
}

export interface MergeOptions {
  readonly rule: TimeRule
  /** `at`: a row counts that becomes visible at the moment itself; `before`: only a row that became visible earlier. */
  readonly bound: 'at' | 'before'
}
