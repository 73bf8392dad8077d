import { sql } from 'kysely'
import type { Definition } from '../../registry/definition.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sourceRelation, tableColumns } from '../../runtime/postgres/relation.ts'
import { sqlIdentifier } from '../../runtime/postgres/sql.ts'

type Handle = Pick<Database, 'kysely'>

/** A relation whose rows name predictions. */
export interface OutcomeRows {
  readonly source: string
  /** The SQL after FROM. */
  readonly relation: string
  readonly owned: boolean
  /** The column with the prediction's id. */
  readonly column: string
}

/** Of all outcomes that are matched by prediction, retired ones included. */
export function outcomeRowsOf(definitions: readonly Definition[]): OutcomeRows[] {
  const found = new Map<string, OutcomeRows>()
  for (const definition of definitions) {
    if (definition.kind !== 'outcome' || definition.spec.match.kind !== 'prediction') continue
    const { source, match } = definition.spec
    const relation = sourceRelation(source)
    const rows = { source: source.name, relation, owned: source.relation.kind === 'owned', column: match.column }
    found.set(JSON.stringify([relation, match.column]), rows)
  }
  return [...found.values()]
}

/** The rows that name one of some predictions. @param ids SQL that selects their ids */
export function namesPrediction({ column }: OutcomeRows, ids: string): string {
  return `${sqlIdentifier(column)}::text IN (${ids})`
}

/**
 * Deletes the outcomes of some predictions from tables of Lockstep that no view reads.
 *
 * @param ids SQL that selects the ids of the predictions
 */
export async function forgetOutcomes({ kysely }: Handle, definitions: readonly Definition[], ids: string): Promise<void> {
  const viewed = new Set(definitions.flatMap((each) => (each.kind === 'view' ? [each.spec.source.name] : [])))
  for (const rows of outcomeRowsOf(definitions)) {
    if (!rows.owned || viewed.has(rows.source) || !(await hasColumns({ kysely }, rows.relation, [rows.column]))) continue
    await sql.raw(`DELETE FROM ${rows.relation} WHERE ${namesPrediction(rows, ids)}`).execute(kysely)
  }
}

/** Whether the table exists with these columns. */
export async function hasColumns({ kysely }: Handle, relation: string, columns: readonly string[]): Promise<boolean> {
  const query = async <Row>(text: string) => (await sql.raw<Row>(text).execute(kysely)).rows
  const present = await tableColumns({ query }, relation)
  return present !== null && columns.every((column) => present.some(({ name }) => name === column))
}
