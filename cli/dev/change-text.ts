import { relative } from 'node:path'
import type { LockstepError } from '../../kernel/errors.ts'
import type { Change, ChangePlan } from '../../registry/change-plan.ts'
import { kindNames } from '../../registry/definition.ts'
import { differenceText } from '../../registry/diff.ts'
import type { DefinitionLine } from '../../registry/read-modules.ts'
import { counted } from '../human.ts'
import type { Brought, Load, ModelChange } from './session.ts'

/** What an update did, a line for each thing. Empty: nothing. */
export function changeLines({ plan, loads, models }: Pick<Brought, 'plan' | 'loads' | 'models'>, folder: string): string[] {
  return [...definitionLines(plan), ...loads.map((load) => loadLine(load, folder)), ...models.map((change) => modelLine(change, folder))]
}

function definitionLines({ changes }: ChangePlan): string[] {
  return changes.flatMap((change) => {
    const { kind, label, status } = change
    const what = `${kindNames[kind]} ${label}`
    if (status === 'added' || status === 'revived') return [`  + ${what}`]
    if (status === 'removed') return [`  - ${what}`]
    const own = ownDifferences(change)
    return own.length === 0 ? [] : [`  ~ ${what}`, ...own.map((text) => `      ${text}`)]
  })
}

/** A definition also changes with what it refers to, which has lines of its own. */
function ownDifferences({ differences }: Change): string[] {
  return differences.filter(({ path }) => !path.startsWith('its ')).map(differenceText)
}

function loadLine({ source, path, rows }: Load, folder: string): string {
  return path === null ? `  rows   ${source}: none` : `  rows   ${source}: ${counted(rows, 'row')} from ${relative(folder, path)}`
}

function modelLine({ model, path }: ModelChange, folder: string): string {
  return `  model  ${model}: ${path === null ? 'no longer served, because its file is gone' : relative(folder, path)}`
}

/** An error with the line of the definition that it names, and with paths from the project's folder on. */
export function problemText(
  { code, message }: Pick<LockstepError, 'code' | 'message'>,
  places: readonly DefinitionLine[],
  folder: string,
): string {
  const text = `error ${code}: ${message}`.replaceAll(`${folder}/`, '')
  if (/\.[cm]?[jt]s:\d+|at line \d+/.test(text)) return text
  const named = /\b(?:entity|source|view|service|model) "([^"@]+)/.exec(message)?.[1]
  const place = places.find(({ name }) => name === named)
  return place === undefined ? text : `${text}\n  at ${relative(folder, place.file)}:${place.line}`
}
