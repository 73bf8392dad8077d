import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import { clockSlackMs } from '../../materializer/erase/logged-entity.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sourceRelation } from '../../runtime/postgres/relation.ts'

/** Whether an answer of a moment, epoch microseconds, may have counted rows of a source that were erased since. */
export type MayHaveErasedRows = (source: SourceSpec, answeredAt: number) => boolean

/**
 * Which sources had rows erased since a moment, epoch microseconds. Receipts name tables and no keys, so nothing says
 * which other entities had counted the rows. Until an erasure is finished, servers may answer from states that hold
 * them.
 */
export async function readErasedRows(db: Pick<Database, 'query'>, since: number): Promise<MayHaveErasedRows> {
  const slackMicros = clockSlackMs * 1000
  const rows = await db.query<{ relation: string; until: number }>(
    `select part ->> 'where' as relation, max(extract(epoch from coalesce(finished_at, 'infinity')) * 1000000)::float8 as until
     from lockstep.erasures, json_array_elements(receipt) part
     where coalesce(finished_at, 'infinity') >= to_timestamp($1)
       and part ->> 'what' = 'removed' and part ->> 'kind' = 'rows' and (part ->> 'count')::bigint > 0
     group by 1`,
    [(since - slackMicros) / 1e6],
  )
  const untilOf = new Map(rows.map(({ relation, until }) => [relation, until + slackMicros]))
  return (source, answeredAt) => answeredAt <= (untilOf.get(sourceRelation(source)) ?? Number.NEGATIVE_INFINITY)
}
