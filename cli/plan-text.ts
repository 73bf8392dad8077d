import type { ChangePlan, ChangeStatus } from '../registry/change-plan.ts'
import { kindNames } from '../registry/definition.ts'
import { differenceText } from '../registry/difference.ts'
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

/** A plan as people read it: what changes, line by line, then what follows from it. What does not change is only counted. */
export function planText(plan: ChangePlan): string {
  const moving = plan.changes.filter(({ status }) => status !== 'unchanged' && status !== 'absent')
  const lines = moving.flatMap((change) => [
    `  ${marks[change.status]} ${kindNames[change.kind]} ${change.label}${change.status === 'added' ? '' : ` (${change.status})`}`,
    ...change.differences.map((difference) => `      ${differenceText(difference)}`),
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
  for (const state of plan.states) lines.push(`  > ${stateSizeText(state)}`)
  for (const { cause, broken } of plan.breaks) lines.push(`  ! ${broken} breaks with the ${cause}`)
  for (const note of plan.notes) lines.push(`  note: ${note}`)
  for (const { code, message } of plan.problems) lines.push(`  problem ${code}: ${message}`)
  return lines.join('\n')
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

/** The plan for programs: its problems are reduced to what `--json` prints of an error. */
export function planJson(plan: ChangePlan): object {
  return { ...plan, problems: plan.problems.map(({ code, message, details }) => ({ code, message, details })) }
}
