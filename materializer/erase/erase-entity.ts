import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { encodeKey } from '../../kernel/values/entity-key.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import type { EntitySpec } from '../../kernel/specs/view-spec.ts'
import { loggedEntity } from './logged-entity.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { storedDefinitions } from '../../registry/definition.ts'
import { notifyErased } from '../../registry/revision.ts'
import type { Actor } from '../../runtime/audit.ts'
import { recordAudit, unknownActor } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { erasedKeyHash } from './erased-key.ts'
import { keyParts } from './containing-states.ts'
import type { Receipt, ReceiptPart } from './erasing.ts'
import { holders } from './holders.ts'

const statesPerInsert = 1_000

/**
 * Erases one entity. One transaction deletes the rows in Lockstep's tables, writes the receipt, and records the work
 * that remains online. Then `finishErasures` does that work.
 *
 *     1 delete the rows, write the receipt, note the states that hold them          one transaction
 *     2 rebuild each noted state from the remaining rows                             compare and set
 *     3 wait for every transaction that was open then                               readers of the old rows have ended
 *     4 remove the states that came out empty, unless rows have come since           compare and set
 *       and the states of users' tables whose keys contain the erased key
 *
 * If a process dies in between, the next caller of `finishErasures` continues from the notes. Rows that are pushed
 * after the transaction belong to a new entity with the same key.
 *
 * @throws LockstepError `INVALID_ENTITY` where the entity has no key
 */
export async function eraseEntity(
  db: Database,
  catalog: Pick<Catalog, 'views' | 'online'>,
  entity: EntitySpec,
  values: readonly Value[],
  now: Date,
  by: Actor = unknownActor,
): Promise<Receipt> {
  if (entity.key.length === 0) {
    throw new LockstepError(
      'INVALID_ENTITY',
      `The entity "${entity.name}" has no key: it covers all rows and cannot be erased. Erase the entities of its rows, or retire its views.`,
    )
  }
  const key = encodeKey(entity.key, values)
  return db.kysely.transaction().execute(async (transaction) => {
    const { salt } = await transaction.selectFrom('lockstep.installation').select('salt').executeTakeFirstOrThrow()
    const keyHash = erasedKeyHash(salt, loggedEntity(entity.name, key))
    const touched = new Map<string, { view: string; entity: string; key: EntityKey }>()
    const searched: { readonly view: string; readonly entity: string }[] = []
    const parts: ReceiptPart[] = []
    for (const holder of holders) {
      parts.push(
        ...(await holder({
          entity,
          values,
          definitions: await storedDefinitions(transaction),
          online: [...catalog.views.values()].filter(({ id }) => catalog.online.has(id)),
          db: { kysely: transaction },
          touch: (view, name, each) => touched.set(`${view} ${each}`, { view, entity: name, key: each }),
          search: (view, name) => searched.push({ view, entity: name }),
        })),
      )
    }
    const { id } = await transaction
      .insertInto('lockstep.erasures')
      .values({ entity: entity.name, key_hash: keyHash, receipt: JSON.stringify(parts), requested_at: now, finished_at: null })
      .returning('id')
      .executeTakeFirstOrThrow()
    const open = { erasure: id, emptied: null, done_at: null }
    const states = [
      ...[...touched.values()].map((state) => ({ ...open, ...state, key: Buffer.from(state.key, 'latin1'), parts: null })),
      ...searched.map((view) => ({ ...open, ...view, key: Buffer.alloc(0), parts: JSON.stringify(keyParts(entity, values)) })),
    ]
    for (let i = 0; i < states.length; i += statesPerInsert) {
      await transaction
        .insertInto('lockstep.erasure_states')
        .values(states.slice(i, i + statesPerInsert))
        .execute()
    }
    await recordAudit({ kysely: transaction }, by, { action: 'erase', subject: entity.name, after: { receipt: id, keyHash, parts } })
    // the online store may be down, which is when servers answer with remembered states
    await notifyErased(transaction)
    return { id, entity: entity.name, keyHash, requestedAt: now.toISOString(), parts }
  })
}
