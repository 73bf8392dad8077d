import type { ChangePlan, ChangeStatus, KeptDefinition } from '../registry/change-plan.ts'
import { kindNames } from '../registry/definition.ts'
import { differenceText } from '../registry/diff.ts'
import { count, counted } from './human.ts'
import { stateSizeText } from './state-size-text.ts'

const marks: Readonly<Record<ChangeStatus, string>> = {
  added: '+',
  revived: '+',
  changed: '~',
  unchanged: ' ',
  conflict: '!',
  absent: ' ',
  removed: '-',
}

/**
 * A plan as text: what changes, line by line, then the consequences. Unchanged definitions are only counted. The
 * problem of a conflict explains it.
 */
export function planText(plan: ChangePlan): string {
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

/** `6 added, 1 changed, 3 unchanged` */
export function changeCounts(plan: ChangePlan): string {
  const parts = (Object.keys(marks) as ChangeStatus[]).flatMap((status) => {
    const number = plan.changes.filter((change) => change.status === status).length
    const words = status === 'absent' ? 'in the registry only' : status
    return number === 0 ? [] : [`${count(number)} ${words}`]
  })
  return parts.join(', ')
}

/** The plan as JSON: its problems have only the fields that `--json` prints of an error. */
export function planJson(plan: ChangePlan): object {
  return { ...plan, problems: plan.problems.map(({ code, message, details }) => ({ code, message, details })) }
}
