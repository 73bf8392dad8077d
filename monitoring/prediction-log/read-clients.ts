import type { Database } from '../../runtime/database.ts'

/** So many rows are looked at: a log of a day may have millions. */
const maxRows = 20_000

/**
 * The names of the API keys whose requests for a model are logged, the most frequent first. Requests without a key have
 * none.
 *
 * @param window epoch microseconds
 */
export async function readClients(
  db: Pick<Database, 'query'>,
  { model, from, to }: { readonly model: string; readonly from: number; readonly to: number },
): Promise<string[]> {
  const rows = await db.query<{ name: string }>(
    `select k.name from (
       select api_key from lockstep.prediction_log
       where at >= $2 and at <= $3 and model = $1 and api_key is not null limit ${maxRows}
     ) l join lockstep.api_keys k on k.id = l.api_key
     group by k.name order by count(*) desc, k.name limit 20`,
    [model, new Date(from / 1000), new Date(to / 1000)],
  )
  return rows.map(({ name }) => name)
}
