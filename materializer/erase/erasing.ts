import type { EntityKey } from '../../kernel/entity-key.ts'
import type { Value } from '../../kernel/value-type.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { DefinitionId, EntitySpec } from '../../kernel/view-spec.ts'
import type { Definition } from '../../registry/definition.ts'
import type { Database } from '../../runtime/database.ts'

/** One entity that is being erased, inside the transaction that does it. */
export interface Erasing {
  readonly entity: EntitySpec
  readonly values: readonly Value[]
  /** All of the registry, retired ones included. */
  readonly definitions: readonly Definition[]
  /** The views that are kept online. */
  readonly online: readonly ViewPlan[]
  readonly db: Pick<Database, 'kysely'>
  /** Has a state made anew once the transaction is committed, or removed where no rows of it are left. */
  touch(view: DefinitionId, entity: string, key: EntityKey): void
}

/**
 * What an erasure did and left, without the key: that stands in `keyHash` alone. Its parts are what the holders
 * (holders.ts) have to say.
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
  /** `removed`: it is gone. `renewed`: what it held of the entity is gone. `kept`: it is not Lockstep's to change. */
  readonly what: 'removed' | 'renewed' | 'kept'
  readonly kind: 'rows' | 'states' | 'dataset'
  /** The table, view or file. */
  readonly where: string
  /** Of a training set. */
  readonly id?: string
  /** How many rows or states; of a data set, how many rows it has in all. */
  readonly count: number
  readonly note?: string
}

/** Something that may hold an entity: it removes what it holds, or says what it keeps. */
export type Holder = (erasing: Erasing) => Promise<ReceiptPart[]>
