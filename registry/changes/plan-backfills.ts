import type { Kysely } from 'kysely'
import type { ViewSpec } from '../../kernel/specs/view-spec.ts'
import { definitionId } from '../../kernel/specs/view-spec.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import { sourceRelation } from '../../runtime/postgres/relation.ts'
import type { Definition } from '../definition.ts'
import { definitionKey } from '../definition.ts'
import type { Change, PlannedBackfill } from './change-plan.ts'
import type { DefinitionComparison } from './compare.ts'
import { estimateRows, estimateTables, noRows, readFoldRate } from './row-estimate.ts'
import type { DescribedTable } from './source-table.ts'

interface ViewToFill {
  readonly view: ViewSpec
  readonly reason: PlannedBackfill['reason']
}

/**
 * The materializations that views need, without those whose source cannot be read yet.
 *
 * @param found the sources that match the database, by name
 */
export async function planBackfills(
  handle: Kysely<LockstepTables>,
  views: readonly ViewToFill[],
  found: ReadonlyMap<string, DescribedTable>,
): Promise<PlannedBackfill[]> {
  const tables = new Map([...found.values()].map((table) => [table.relation, table]))
  const planned = views.flatMap((each) => {
    const table = tables.get(sourceRelation(each.view.source))
    return table === undefined ? [] : [{ ...each, relation: table.relation, exists: table.exists }]
  })
  const rate = await readFoldRate(handle)
  const read = new Map(planned.flatMap(({ view, relation, exists }) => (exists ? [[relation, view.source.relation.kind === 'sql']] : [])))
  const estimates = await estimateTables(
    handle,
    [...read].flatMap(([relation, isQuery]) => (isQuery ? [] : [relation])),
  )
  for (const [relation, isQuery] of read) if (isQuery) estimates.set(relation, await estimateRows(handle, relation, true))
  return planned.map(({ view, reason, relation }) => {
    const estimate = estimates.get(relation) ?? noRows
    return { view: definitionId(view), reason, ...estimate, seconds: Math.ceil(estimate.rows / rate) }
  })
}

/**
 * The declared views that need a materialization.
 *
 * @param changes with the next version of each view whose version must be raised
 * @param arrivals the tables that begin to record arrivals
 */
export function viewsToFill(
  comparisons: readonly DefinitionComparison[],
  changes: readonly Change[],
  arrivals: ReadonlySet<string>,
): ViewToFill[] {
  const raised = new Map(changes.map((each) => [definitionKey(each), each.nextVersion]))
  return comparisons.flatMap(({ declared, stored }) => {
    if (declared.kind !== 'view' || declared.operational.online !== true) return []
    const version = raised.get(definitionKey(declared))
    if (version !== undefined) return [{ view: { ...declared.spec, version }, reason: 'its version must be raised' }]
    const known = stored !== null && !stored.retired
    if (known && stored.operational.online === true) return viewsToRebuild([declared], arrivals)
    return [{ view: declared.spec, reason: known ? 'the view becomes online' : 'the view is new' }]
  })
}

/** The stored views whose rows get another order. */
export function viewsToRebuild(stored: readonly Definition[], arrivals: ReadonlySet<string>): ViewToFill[] {
  return stored.flatMap((definition) =>
    definition.kind === 'view' && definition.operational.online === true && arrivals.has(sourceRelation(definition.spec.source))
      ? [{ view: definition.spec, reason: 'its table records arrivals' }]
      : [],
  )
}
