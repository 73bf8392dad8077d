import type { EntityKey } from '../../kernel/values/entity-key.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { erasedKeyHash } from '../../materializer/erase/erased-key.ts'
import { clockSlackMs, forgetExposures, forgetLoggedEntity, loggedIds } from '../../materializer/erase/logged-entity.ts'
import { forgetOutcomes } from '../../materializer/erase/outcome-rows.ts'
import { storedDefinitions } from '../../registry/definition.ts'

/**
 * Deletes new log rows and exposures of entities whose erasure was not finished when the rows were noted. Such rows may
 * be made of erased data: they wait in a buffer, where an erasure does not find them, and states answer requests until
 * the erasure reaches them. Call it after the rows are committed.
 *
 * @param since when the first of the rows was noted, epoch milliseconds
 * @param entities of the rows, each as `loggedEntity`, also several times. They are read only if there are such
 *   erasures.
 */
export async function forgetErased(
  db: Pick<Database, 'query' | 'kysely'>,
  since: number,
  entities: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const erasures = await db.query<{ hash: string; salt: Buffer; until: string }>(
    `SELECT e.key_hash AS hash, i.salt, (extract(epoch FROM max(coalesce(e.finished_at, now()))) * 1000)::text AS until
     FROM lockstep.erasures e CROSS JOIN lockstep.installation i
     WHERE e.finished_at IS NULL OR e.finished_at >= to_timestamp($1)
     GROUP BY e.key_hash, i.salt`,
    [(since - clockSlackMs) / 1000],
  )
  const [first] = erasures
  if (first === undefined) return
  const untilOf = new Map(erasures.map((each) => [each.hash, Number(each.until) + clockSlackMs]))
  for await (const named of entities) {
    const hash = erasedKeyHash(first.salt, named)
    const until = untilOf.get(hash)
    if (until === undefined) continue
    untilOf.delete(hash)
    const bytes = Buffer.from(named)
    const end = bytes.indexOf(0)
    const key: EntityKey = bytes.toString('latin1', end + 1)
    const entity = bytes.toString('utf8', 0, end)
    await forgetOutcomes(db, await storedDefinitions(db.kysely), loggedIds(entity, key, until))
    await db.query(forgetExposures(entity, key, until))
    await db.query(forgetLoggedEntity(entity, key, until))
  }
}
