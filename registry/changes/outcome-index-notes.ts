import type { OutcomeSpec } from '../../kernel/specs/outcome-spec.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import { sqlIdentifier } from '../../runtime/postgres/sql.ts'
import type { DescribedTable } from './source-table.ts'
import { findsBy } from './table-facts.ts'

/** Kinds of relations that have indexes. */
const indexed: readonly string[] = ['r', 'p', 'm']

/** Notes about a user's table that outcomes match by the ids of predictions, where no index finds these. */
export function outcomeIndexNotes(source: SourceSpec, { relation, facts }: DescribedTable, outcomes: readonly OutcomeSpec[]): string[] {
  if (source.relation.kind !== 'table' || facts === null || !indexed.includes(facts.kind)) return []
  return outcomes.flatMap(({ name, source: read, match }) =>
    read.name !== source.name || match.kind !== 'prediction' || findsBy(facts, match.column)
      ? []
      : [
          `The outcome "${name}" finds its rows by "${match.column}" in your table ${relation}, where no index begins with that column: each look-up reads the complete table. Create one: CREATE INDEX ON ${relation} (${sqlIdentifier(match.column)}).`,
        ],
  )
}
