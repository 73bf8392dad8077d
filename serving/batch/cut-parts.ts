import type { SpineRange } from '../../offline/datasets/dataset-parts.ts'
import type { Database } from '../../runtime/postgres/database.ts'

/** Entities with a smaller share of a part are cut anywhere: the parts at both sides read few rows twice. */
const smallShare = 1 / 32

/** Rows of one entity in [from, to), by their numbers from 0. */
export type EntityRows = SpineRange

/**
 * Cuts a spine that is ordered by entity into parts of at most `rowsPerPart` rows. A part reads all source rows of its
 * entities, so a part ends where a large entity begins or ends. An entity with more rows than a part has parts of its
 * own, which read only the rows that their times need.
 *
 * @param large the entities with many rows, ascending
 */
export function cutParts(rows: number, rowsPerPart: number, large: readonly EntityRows[]): SpineRange[] {
  const parts: SpineRange[] = []
  let next = 0
  for (let from = 0; from < rows;) {
    while ((large[next]?.to ?? rows) <= from) next++
    const limit = Math.min(rows, from + rowsPerPart)
    let to = limit
    for (let i = next; i < large.length; i++) {
      const entity = large[i] as EntityRows
      if (entity.from >= limit) break
      // the rest of an entity that began in the part before
      if (entity.from < from || entity.to - entity.from > rowsPerPart) to = entity.from > from ? entity.from : Math.min(limit, entity.to)
      else if (entity.to > limit) to = entity.from > from ? entity.from : limit
      if (to < limit) break
    }
    parts.push({ from, to })
    from = to
  }
  return parts.length === 0 ? [{ from: 0, to: 0 }] : parts
}

/**
 * The entities that have a large share of a part.
 *
 * @param key the SQL of the parts of its key, over the table as `s`
 * @param ordinal the SQL of the numbers of its rows, from 1
 */
export async function largeEntities(
  db: Database,
  {
    table,
    key,
    ordinal,
    rowsPerPart,
  }: { readonly table: string; readonly key: readonly string[]; readonly ordinal: string; readonly rowsPerPart: number },
  signal: AbortSignal,
): Promise<EntityRows[]> {
  if (key.length === 0) return []
  const found = await db.query<{ first: string; last: string }>(
    `SELECT min(${ordinal})::text AS first, max(${ordinal})::text AS last FROM ${table} s
      WHERE ${key.map((part) => `${part} IS NOT NULL`).join(' AND ')}
      GROUP BY ${key.join(', ')} HAVING count(*) > ${Math.max(1, Math.floor(rowsPerPart * smallShare))} ORDER BY min(${ordinal})`,
    [],
    { signal },
  )
  return found.map(({ first, last }) => ({ from: Number(first) - 1, to: Number(last) }))
}
