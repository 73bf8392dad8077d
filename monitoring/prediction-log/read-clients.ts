import type { Database } from '../../runtime/postgres/database.ts'

/** So many rows of each window are looked at: a log of a day may have millions, and no index by model or key. */
const maxRows = 20_000
/** A minute, an hour and a day, in microseconds. */
const windows = [60_000_000, 3_600_000_000, 86_400_000_000]

/**
 * The names of the API keys whose requests are logged, by model, the most frequent first. Requests without a key have
 * none. It looks at some rows of the last minute, hour and day before `to` (epoch microseconds), so a client that asks
 * seldom may be missing.
 */
export async function readClients(db: Pick<Database, 'query'>, to: number): Promise<ReadonlyMap<string, string[]>> {
  const some = windows.map(
    (_, i) => `(select model, api_key from lockstep.prediction_log where at >= $${i + 2} and at <= $1 limit ${maxRows})`,
  )
  const rows = await db.query<{ model: string; names: string[] }>(
    `select model, (array_agg(name order by asked desc, name))[1:20] as names from (
       select l.model, k.name, count(*) as asked from (${some.join(' union all ')}) l
       join lockstep.api_keys k on k.id = l.api_key group by l.model, k.name
     ) counted group by model`,
    [to, ...windows.map((window) => to - window)].map((micros) => new Date(micros / 1000)),
  )
  return new Map(rows.map(({ model, names }) => [model, names]))
}
