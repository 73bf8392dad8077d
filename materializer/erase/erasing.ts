import type { EntityKey } from '../../kernel/values/entity-key.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { DefinitionId, EntitySpec } from '../../kernel/specs/view-spec.ts'
import type { Definition } from '../../registry/definition.ts'
import type { Database } from '../../runtime/postgres/database.ts'

/** The context of one erasure, inside its transaction. */
export interface Erasing {
  readonly entity: EntitySpec
  readonly values: readonly Value[]
  /** The complete registry, including retired definitions. */
  readonly definitions: readonly Definition[]
  /** The views that are kept online. */
  readonly online: readonly ViewPlan[]
  readonly db: Pick<Database, 'kysely'>
  /** Has a state rebuilt once the transaction is committed, or removed where no rows of it are left. */
  touch(view: DefinitionId, entity: string, key: EntityKey): void
  /** Has all states of a view removed whose keys contain the erased key, once the transaction is committed. */
  search(view: DefinitionId, entity: string): void
}

/**
 * The result of an erasure without the key, which appears only as `keyHash`. The holders (holders.ts) report its parts.
 */
export interface Receipt {
  readonly id: string
  readonly entity: string
  readonly keyHash: string
  /** RFC 3339. */
  readonly requestedAt: string
  readonly parts: readonly ReceiptPart[]
}

export interface ReceiptPart {
  /**
   * `removed`: it is deleted. `renewed`: it no longer holds anything of the entity. `kept`: Lockstep may not change it.
   */
  readonly what: 'removed' | 'renewed' | 'kept'
  readonly kind: 'rows' | 'states' | 'dataset'
  /** The table, view or file. */
  readonly where: string
  /** The id, if it is a training set. */
  readonly id?: string
  /** How many rows or states; for a training set, all of its rows. null: nothing had counted the states. */
  readonly count: number | null
  readonly note?: string
}

/** A place that may hold an entity: removes what it holds, or reports what it keeps. */
export type Holder = (erasing: Erasing) => Promise<ReceiptPart[]>
