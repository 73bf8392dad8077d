import { tieOfColumns, tieOfIdentity } from '../kernel/greatest-bytes.ts'
import { stateBytes } from '../kernel/state-bytes.ts'
import { definitionId } from '../kernel/view-spec.ts'
import type { StateSize } from './change-plan.ts'
import type { DefinitionSet } from './definition-set.ts'
import type { SourceTable } from './source-table.ts'

/** What each windowed view that is online keeps of an entity at most, where its source can be read. */
export function stateSizes(set: DefinitionSet, found: ReadonlyMap<string, SourceTable>): StateSize[] {
  return set.views.flatMap(({ spec, operational }): StateSize[] => {
    const table = found.get(spec.source.name)
    if (table === undefined || !operational.online || !spec.features.some(({ kind }) => kind === 'window')) return []
    const hasRow = spec.source.relation.kind === 'owned' || table.columns.get('_row')?.base === 'int8'
    const tie = hasRow ? tieOfIdentity : tieOfColumns(spec.source.columns.map(({ type }) => type))
    return [{ view: definitionId(spec), maxStateBytes: operational.maxStateBytes ?? null, ...stateBytes(spec, tie) }]
  })
}
