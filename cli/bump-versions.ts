import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, relative, resolve } from 'node:path'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import type { BumpPlan, FileEdit, VersionBump } from '../registry/changes/bump.ts'
import { kindNames } from '../registry/definition.ts'
import { counted } from './text/human.ts'
import { unifiedDiff } from './text/unified-diff.ts'

/**
 * The edits as one patch, which `git apply` and `patch -p1` accept in `folder`.
 *
 * @returns an empty string if there are none
 */
export function bumpPatch({ edits }: BumpPlan, folder: string): string {
  return edits.map(({ file, before, after }) => unifiedDiff(relative(folder, file), before, after)).join('\n')
}

/** The current folder, or if a file is outside of it, the nearest one that has all of them. */
export function patchFolder({ edits }: BumpPlan, current: string): string {
  let folder = resolve(current)
  while (edits.some(({ file }) => relative(folder, file).startsWith('..'))) folder = dirname(folder)
  return folder
}

/**
 * Writes the edited files.
 *
 * @throws LockstepError `WRITE_FAILED` naming the file; files before it are written, and a second run does the rest
 */
export function writeEdits(edits: readonly FileEdit[]): void {
  for (const { file, before, after } of edits) {
    try {
      if (!readFileSync(file).equals(Buffer.from(before))) throw new Error('it changed meanwhile, or is not UTF-8')
      writeFileSync(file, after)
    } catch (cause) {
      throw new LockstepError(
        'WRITE_FAILED',
        `The versions in "${file}" could not be raised: ${messageOf(cause)}. Correct that and run the command again.`,
        { cause, details: { file } },
      )
    }
  }
}

/** `feature view spending 1 → 2 (features.ts:14)` */
export function bumpLine({ kind, name, from, to, file, line, written, isEditable }: VersionBump, current: string): string {
  const now = isEditable || written === null ? '' : `, now "${written}"`
  const place = file === null ? '' : ` (${relative(current, file)}:${line}${now})`
  return `  ${kindNames[kind]} ${name} ${from} → ${to}${place}`
}

/** Instructions where a version cannot be edited; an empty list if nothing is left. */
export function manualLines({ bumps }: BumpPlan, current: string): string[] {
  const left = bumps.filter(({ isEditable }) => !isEditable)
  if (left.length === 0) return []
  return [
    `${counted(left.length, 'version')} cannot be raised for you: shared with an unchanged definition, computed, or passed on by a function. Change by hand:`,
    ...left.map((bump) => bumpLine(bump, current)),
  ]
}
