import { relative } from 'node:path'
import type { LockstepError } from '../../kernel/errors.ts'
import type { Change } from '../../registry/changes/change-plan.ts'
import type { DefinitionLine } from '../../registry/load/read-modules.ts'
import { counted } from '../text/human.ts'
import { changeLines, screenOptions, style } from '../text/plan-text.ts'
import type { SessionUpdate, Load, ModelChange } from './session.ts'

/** The effects of an update, a line for each. Empty: there are none. */
export function updateLines({ plan, loads, models }: Pick<SessionUpdate, 'plan' | 'loads' | 'models'>, folder: string): string[] {
  return [
    ...changeLines({ changes: plan.changes.filter(isOwn), tables: [] }, screenOptions()),
    ...loads.map((load) => loadLine(load, folder)),
    ...models.map((change) => modelLine(change, folder)),
  ]
}

/** Whether the definition itself changed. A change of what it refers to is listed separately. */
function isOwn({ status, differences }: Change): boolean {
  return status !== 'changed' || differences.some(({ path }) => !/^(its |members\.[^.]+\.features\b)/.test(path))
}

function loadLine({ source, path, rows }: Load, folder: string): string {
  return path === null ? `  rows   ${source}: none` : `  rows   ${source}: ${counted(rows, 'row')} from ${relative(folder, path)}`
}

function modelLine({ model, path, refused }: ModelChange, folder: string): string {
  if (path === null) return `  model  ${model}: not served, because its file is gone`
  const file = relative(folder, path)
  return `  model  ${model}: ${refused === undefined ? file : refused === 'kept' ? `${file} is refused, the one before stays` : `not served, because ${file} does not fit`}`
}

/** An error with the line of the definition that it names, and with paths from the project's folder on. */
export function problemText(
  { code, message }: Pick<LockstepError, 'code' | 'message'>,
  places: readonly DefinitionLine[],
  folder: string,
): string {
  const text = `${style('red', 'error', screenOptions())} ${code}: ${message}`.replaceAll(`${folder}/`, '')
  if (/\.[cm]?[jt]s:\d+|at line \d+/.test(text)) return text
  const named = /\b(?:entity|source|view|service|model) "([^"@]+)/.exec(message)?.[1]
  const place = places.find(({ name }) => name === named)
  return place === undefined ? text : `${text}\n  at ${relative(folder, place.file)}:${place.line}`
}
