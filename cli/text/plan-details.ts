import type { PlanJson, ChangeStatus, KeptDefinition } from '../../registry/changes/change-plan.ts'
import { kindNames } from '../../registry/definition.ts'
import { differenceText } from '../../registry/changes/diff.ts'
import { counted } from './human.ts'
import { stateSizeText } from './state-size-text.ts'

/** How each status of a change is marked, in the order in which they are counted. */
export const marks: Readonly<Record<ChangeStatus, string>> = {
  conflict: '!',
  added: '+',
  revived: '+',
  changed: '~',
  removed: '-',
  unchanged: ' ',
  absent: ' ',
}

/**
 * A plan in full: what changes, field by field, then the consequences. Unchanged definitions are only counted. The
 * problem of a conflict explains it.
 */
export function planDetails(plan: PlanJson): string {
  const moving = plan.changes.filter(({ status }) => status !== 'unchanged' && status !== 'absent')
  const lines = moving.flatMap((change) => [
    `  ${marks[change.status]} ${kindNames[change.kind]} ${change.label}${change.status === 'added' ? '' : ` (${change.status})`}`,
    ...(change.status === 'conflict' ? [] : change.differences).map((difference) => `      ${differenceText(difference)}`),
  ])
  for (const table of plan.tables) {
    const gains = [...table.columns, ...table.indexes.map((index) => `the index ${index}`)].join(', ')
    lines.push(
      table.kind === 'create' ? `  + table ${table.relation} (${table.columns.join(', ')})` : `  ~ table ${table.relation} gains ${gains}`,
    )
    if (table.rewrites !== null) lines.push(...table.statements.map((statement) => `      ${statement};`))
  }
  for (const { view, reason, rows, exact } of plan.backfills) {
    lines.push(`  > materialize ${view}: ${reason}, ${exact ? '' : 'about '}${counted(rows, 'source row')} to read`)
  }
  const views = new Set(moving.flatMap(({ kind, label }) => (kind === 'view' ? [label] : [])))
  for (const state of plan.states) if (views.has(state.view)) lines.push(`  > ${stateSizeText(state)}`)
  for (const each of plan.kept) lines.push(`  = kept: ${keptText(each)}`)
  for (const cause of new Set(plan.breaks.map((each) => each.cause))) {
    const broken = plan.breaks.filter((each) => each.cause === cause).map((each) => each.broken)
    lines.push(`  ! with the ${cause} ${broken.length === 1 ? 'breaks' : 'break'} ${broken.join(', ')}`)
  }
  for (const note of plan.notes) lines.push(`  note: ${note}`)
  for (const { code, message } of plan.problems) lines.push(`  problem ${code}: ${message}`)
  return lines.join('\n')
}

/** `feature view "airport_delays@1": model "delay" version 3 needs it` */
export function keptText({ kind, label, neededBy }: KeptDefinition): string {
  return `${kindNames[kind]} ${label}: ${neededBy.join(', ')} ${neededBy.length === 1 ? 'needs' : 'need'} it.`
}
