import type { LockstepError } from '../kernel/errors.ts'
import type { StateBytes } from '../kernel/state-bytes.ts'
import type { DefinitionId } from '../kernel/view-spec.ts'
import type { DefinitionKind } from '../migrations/schema.ts'
import type { Difference } from './diff.ts'
import type { TableChange } from './owned-table.ts'

/** What `apply` would do with a definitions file. Plain data, but for `problems`, which are the errors that `apply` would refuse it with. */
export interface ChangePlan {
  readonly file: string
  /** The registry's revision that was compared with. */
  readonly revision: number
  readonly changes: readonly Change[]
  /** Tables that are made, or gain columns or indexes. */
  readonly tables: readonly TableChange[]
  /** Online views whose history is to be materialized. */
  readonly backfills: readonly Backfill[]
  /** What a windowed view keeps of each entity in the online store, at most. */
  readonly states: readonly StateSize[]
  readonly breaks: readonly Breakage[]
  /** What pruning leaves, as something that stays needs it. */
  readonly kept: readonly KeptDefinition[]
  /** What is worth knowing and stops nothing. */
  readonly notes: readonly string[]
  readonly problems: readonly LockstepError[]
}

export interface Change {
  readonly kind: DefinitionKind
  readonly name: string
  /** 0 for entities, sources and models. */
  readonly version: number
  /** `airport_delays@1`, or the name where there is no version. */
  readonly label: string
  readonly status: ChangeStatus
  /** What differs: with `conflict` in what the definition means, with `changed` in what may change. */
  readonly differences: readonly Difference[]
}

/**
 * - `added`: new to the registry
 * - `revived`: pruned once, and the same again
 * - `changed`: a field that may change under a version; entities, sources and models may change in all
 * - `unchanged`
 * - `conflict`: changed under a version that exists, which `apply` refuses
 * - `absent`: in the registry and not in the file, and kept
 * - `removed`: absent, and pruned
 */
export type ChangeStatus = 'added' | 'revived' | 'changed' | 'unchanged' | 'conflict' | 'absent' | 'removed'

export interface Backfill {
  readonly view: DefinitionId
  readonly reason: 'the view is new' | 'the view becomes online'
  /** Rows of its source, which one materialization reads. */
  readonly rows: number
  /** Whether they were counted; else they are the planner's estimate. */
  readonly exact: boolean
}

export interface StateSize extends StateBytes {
  readonly view: DefinitionId
  /** The declared cap; null: none. */
  readonly maxStateBytes: number | null
}

export interface KeptDefinition {
  readonly kind: DefinitionKind
  readonly name: string
  readonly version: number
  readonly label: string
  /** `model "delay" version 3`, `feature view "airport_delays@1"` */
  readonly neededBy: readonly string[]
}

/** Something that a change or removal takes with it. */
export interface Breakage {
  /** `feature view "airport_delays@1"` */
  readonly cause: string
  /** `feature service "flight_features@1"`, `model "delay" version 3` */
  readonly broken: string
}
