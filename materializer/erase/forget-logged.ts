import { sql } from 'kysely'
import type { EntityKey } from '../../kernel/values/entity-key.ts'
import {
  clockSlackMs,
  forgetExposures,
  forgetLoggedEntity,
  lockExposures,
  lockPredictionLog,
  loggedEntity,
  loggedIds,
} from './logged-entity.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { storedDefinitions } from '../../registry/definition.ts'
import { erasedKeyHash } from './erased-key.ts'
import { forgetOutcomes } from './outcome-rows.ts'

interface ErasedEntity {
  readonly erasure: string
  readonly entity: string
  readonly key: EntityKey
}

/** The entities of unfinished erasures whose keys are noted. An entity without views has no note. */
export async function erasedEntities(db: Pick<Database, 'query'>): Promise<ErasedEntity[]> {
  const noted = await db.query<{ erasure: string; entity: string; key: Buffer; hash: string; salt: Buffer }>(
    `SELECT DISTINCT e.id AS erasure, e.entity, s.key, e.key_hash AS hash, i.salt
     FROM lockstep.erasures e JOIN lockstep.erasure_states s ON s.erasure = e.id AND s.entity = e.entity CROSS JOIN lockstep.installation i
     WHERE e.finished_at IS NULL`,
  )
  return noted
    .map(({ key, ...rest }) => ({ ...rest, key: key.toString('latin1') }))
    .filter(({ entity, key, hash, salt }) => erasedKeyHash(salt, loggedEntity(entity, key)) === hash)
}

/**
 * Deletes erased entities from the prediction log once more, for erasures that have no work left. Servers made
 * predictions of the entity until its states were removed, and the server that logged one may have died before it
 * checked for erasures itself.
 */
export async function forgetLogged(db: Database, entities: readonly ErasedEntity[]): Promise<void> {
  if (entities.length === 0) return
  const done = await db.query<{ id: string }>(
    `SELECT e.id FROM lockstep.erasures e
     WHERE e.id = ANY ($1::bigint[]) AND NOT EXISTS (SELECT FROM lockstep.erasure_states s WHERE s.erasure = e.id AND s.done_at IS NULL)`,
    [entities.map(({ erasure }) => erasure)],
  )
  const ids = new Set(done.map(({ id }) => id))
  for (const { erasure, entity, key } of entities) {
    if (!ids.has(erasure)) continue
    await db.kysely.transaction().execute(async (transaction) => {
      await sql.raw(lockPredictionLog).execute(transaction)
      await sql.raw(lockExposures).execute(transaction)
      const until = Date.now() + clockSlackMs
      await forgetOutcomes({ kysely: transaction }, await storedDefinitions(transaction), loggedIds(entity, key, until))
      await sql.raw(forgetExposures(entity, key, until)).execute(transaction)
      await sql.raw(forgetLoggedEntity(entity, key, until)).execute(transaction)
    })
  }
}
