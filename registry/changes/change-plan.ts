import type { LockstepError } from '../../kernel/errors.ts'
import type { StateBytes } from '../../kernel/states/state-bytes.ts'
import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import type { DefinitionKind } from '../../migrations/schema.ts'
import type { DefinitionDifference } from './diff.ts'
import type { TableChange } from './owned-table.ts'

/**
 * What `apply` would do with a definitions file. It is plain data, except `problems`: the errors with which `apply`
 * would refuse the file.
 */
export interface ChangePlan {
  readonly file: string
  /** The registry's revision that the file was compared with. */
  readonly revision: number
  readonly changes: readonly Change[]
  /** Tables that are created or get new columns or indexes, also tables of the user's that accept pushed events. */
  readonly tables: readonly TableChange[]
  /** Online views whose history must be materialized. */
  readonly backfills: readonly PlannedBackfill[]
  /** The maximum state size of one entity in the online store, for windowed views. */
  readonly states: readonly StateSize[]
  readonly breaks: readonly Breakage[]
  /** Definitions that pruning keeps, because others need them. */
  readonly kept: readonly KeptDefinition[]
  /** Notes for the user that prevent nothing. */
  readonly notes: readonly string[]
  readonly problems: readonly LockstepError[]
}

/** A plan as JSON: its problems have only the fields that `--json` prints of an error. */
export interface PlanJson extends Omit<ChangePlan, 'problems'> {
  readonly problems: readonly { readonly code: string; readonly message: string; readonly details: Readonly<Record<string, unknown>> }[]
}

export function planJson(plan: ChangePlan): PlanJson {
  return { ...plan, problems: plan.problems.map(({ code, message, details }) => ({ code, message, details })) }
}

export interface Change {
  readonly kind: DefinitionKind
  readonly name: string
  /** 0 for entities, sources and models. */
  readonly version: number
  /** `airport_delays@1`, or the name if the kind has no versions. */
  readonly label: string
  readonly status: ChangeStatus
  /** What it is, in a few words: `3 features by airport from landings`. */
  readonly summary: string
  /** For `conflict`: the next free version. */
  readonly nextVersion?: number
  /** The differences: semantic ones for `conflict`, operational ones for `changed`. */
  readonly differences: readonly DefinitionDifference[]
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

export interface PlannedBackfill {
  /** With the next free version, if its version must be raised. */
  readonly view: DefinitionId
  /**
   * For the last reason, the stored states must be rebuilt (`materialize --rebuild`): the order of equal rows changes.
   */
  readonly reason: 'the view is new' | 'the view becomes online' | 'its version must be raised' | 'its table records arrivals'
  /** The rows of its source, all of which a materialization reads, and about how many bytes they have. */
  readonly rows: number
  readonly bytes: number
  /** About how long that takes, by the rate of earlier runs. */
  readonly seconds: number
  /** Whether the rows were counted; else they are PostgreSQL's estimate. */
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

/** A definition or model version that a change or removal breaks. */
export interface Breakage {
  /** `feature view "airport_delays@1"` */
  readonly cause: string
  /** `feature service "flight_features@1"`, `model "delay" version 3` */
  readonly broken: string
}
