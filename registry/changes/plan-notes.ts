import { basename } from 'node:path'
import { isNumeric, typeName } from '../../kernel/values/value-type.ts'
import type { LogShares } from '../../runtime/settings/log-shares.ts'
import { loggedShare } from '../../runtime/settings/log-shares.ts'
import type { Definition } from '../definition.ts'
import { definitionKey, displayName, kindNames, labelOf } from '../definition.ts'
import type { DefinitionSet } from '../load/definition-set.ts'
import type { PlannedBackfill } from './change-plan.ts'
import type { DefinitionComparison } from './compare.ts'
import type { DescribedTable } from './source-table.ts'
import type { ModelUse } from './usage.ts'
import { usersByDefinition } from './usage.ts'

/** The definitions that a plan leaves out. */
export function unexportedNotes({ file, unexported = [] }: DefinitionSet): string[] {
  if (unexported.length === 0) return []
  const what =
    unexported.length === 1
      ? 'is not exported and not used by an export, so it is'
      : 'are not exported and not used by an export, so they are'
  return [`${unexported.join(', ')} in ${basename(file)} ${what} left out; write export const …`]
}

/** The versions that answer requests without a version until the new ones are materialized. */
export function nameNotes(
  comparisons: readonly DefinitionComparison[],
  stored: readonly Definition[],
  removed: readonly Definition[],
  online: readonly PlannedBackfill[],
): string[] {
  if (online.length === 0) return []
  return comparisons.flatMap(({ declared, stored: same }) => {
    if (declared.kind !== 'service' || (same !== null && !same.retired)) return []
    const older = stored.filter(
      ({ kind, name, version, retired }) => kind === 'service' && name === declared.name && version < declared.version && !retired,
    )
    const newest = older.at(-1)
    if (newest === undefined) return []
    const before = older.findLast((each) => !removed.includes(each))
    if (before === undefined)
      return [
        `Requests for "${declared.name}" without a version are refused (NOT_READY) until the online store holds all views of "${labelOf(declared)}", because "${labelOf(newest)}" is removed. To prevent that, prune once the views are complete.`,
      ]
    return [
      `Requests for "${declared.name}" without a version use "${labelOf(before)}" until the online store holds all views of "${labelOf(declared)}", and then that one. To prevent that, name the version in requests.`,
    ]
  })
}

/** The pushed versions that keep the service of an older definition of their model. */
export function modelNotes(comparisons: readonly DefinitionComparison[], uses: readonly ModelUse[]): string[] {
  return comparisons.flatMap(({ declared }) => {
    if (declared.kind !== 'model') return []
    const older = uses.filter((use) => use.model === declared.name && use.service !== `service ${declared.spec.service}`)
    if (older.length === 0) return []
    const versions = older.map((use) => `${use.version} (${use.service.slice('service '.length)})`).join(', ')
    return [
      `The model "${declared.name}" takes the ${kindNames.service} "${declared.spec.service}"; its pushed versions keep the one that they were pushed for: ${versions}.`,
    ]
  })
}

/** Outcomes are matched with logged predictions, and by default none is logged. */
export function outcomeNotes(comparisons: readonly DefinitionComparison[], logShares: LogShares): string[] {
  const added = comparisons.flatMap(({ declared, stored }) =>
    declared.kind === 'outcome' && (stored === null || stored.retired) && loggedShare(logShares, declared.spec.model) < 1
      ? [declared.spec]
      : [],
  )
  return [...Map.groupBy(added, ({ model }) => model)].map(([model, outcomes]) => {
    const names = outcomes.map(({ name }) => `"${name}"`).join(', ')
    return `Set LOCKSTEP_LOG_PREDICTIONS=${model}=1 for the servers: the ${outcomes.length === 1 ? 'outcome' : 'outcomes'} ${names} can only judge logged predictions.`
  })
}

/** If a yes or no judges the same output, the output is a score, and a number may be on another scale. */
export function scaleNotes(comparisons: readonly DefinitionComparison[]): string[] {
  const outcomes = comparisons.flatMap((each) => (each.declared.kind === 'outcome' ? [{ ...each, spec: each.declared.spec }] : []))
  const isChanged = ({ declared, stored }: DefinitionComparison) =>
    stored === null || stored.retired || stored.fingerprint !== declared.fingerprint
  return outcomes.flatMap((each) => {
    const { name, model, output, type } = each.spec
    if (output === null || !isNumeric(type)) return []
    const beside = outcomes.find(({ spec }) => spec.model === model && spec.output === output && spec.type.kind === 'bool')
    if (beside === undefined || !(isChanged(each) || isChanged(beside))) return []
    return [
      `The outcome "${name}" is a ${typeName(type)} and judges the output "${output}" of the model "${model}", of which "${beside.spec.name}" says yes or no. If its numbers are of another scale than the output, such as minutes, declare it with output: null.`,
    ]
  })
}

/** Scheduled batches that fail once they have several parts, because a source does not record arrivals. */
export function batchNotes(declared: readonly Definition[], found: ReadonlyMap<string, DescribedTable>): string[] {
  const users = usersByDefinition(declared, [])
  const sources = declared.flatMap((view) => {
    if (view.kind !== 'view') return []
    const { name, relation } = view.spec.source
    const table = found.get(name)
    const lacks = relation.kind === 'sql' || (relation.kind === 'table' && table?.columns.get('_xid')?.base !== 'xid8')
    return table !== undefined && lacks ? [{ name, isQuery: relation.kind === 'sql', users: users.get(definitionKey(view)) }] : []
  })
  return declared.flatMap((batch) => {
    if (batch.kind !== 'batch') return []
    const lacking = sources.find((source) => source.users?.has(displayName(batch)))
    if (lacking === undefined) return []
    const { name, isQuery } = lacking
    return [
      `The batch "${batch.name}" reads the source "${name}", whose ${isQuery ? 'query cannot have' : 'table has no column'} "_xid". ` +
        `It fails with NOT_REPRODUCIBLE at the first instant at which its spine has over ${count(batch.spec.rowsPerPart)} rows, because it then needs several parts. ` +
        `${isQuery ? 'Name a table in the source' : 'Add "_row" and "_xid" to the table'}, or set rowsPerPart to more rows than its spine will have.`,
    ]
  })
}

function count(rows: number): string {
  return rows.toLocaleString('en-US')
}
