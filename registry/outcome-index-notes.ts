import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import type { OutcomeSpec } from '../kernel/outcome-spec.ts'
import type { SourceSpec } from '../kernel/view-spec.ts'
import type { LockstepTables } from '../migrations/schema.ts'
import { sourceRelation } from '../runtime/relation.ts'
import { sqlIdentifier } from '../runtime/sql.ts'

/** Notes about a user's table that outcomes match by the ids of predictions, where no index finds these. */
export async function outcomeIndexNotes(
  handle: Kysely<LockstepTables>,
  source: SourceSpec,
  outcomes: readonly OutcomeSpec[],
): Promise<string[]> {
  if (source.relation.kind !== 'table') return []
  const matched = outcomes.flatMap(({ name, source: read, match }) =>
    read.name === source.name && match.kind === 'prediction' ? [{ name, column: match.column }] : [],
  )
  if (matched.length === 0) return []
  const relation = sourceRelation(source)
  const { rows } = await sql<{ columns: string[] }>`
    select array(
      select a.attname::text from pg_index i join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
      where i.indrelid = c.oid and i.indpred is null) as columns
    from pg_class c where c.oid = to_regclass(${relation}) and c.relkind in ('r', 'p', 'm')`.execute(handle)
  // a view has no indexes of its own
  const [table] = rows
  if (table === undefined) return []
  return matched.flatMap(({ name, column }) =>
    table.columns.includes(column)
      ? []
      : [
          `The outcome "${name}" finds its rows by "${column}" in your table ${relation}, where no index begins with that column: each look-up reads the complete table. Create one: CREATE INDEX ON ${relation} (${sqlIdentifier(column)}).`,
        ],
  )
}
