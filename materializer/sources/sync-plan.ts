import type { ListedFile } from '../../offline/source-files/list-files.ts'
import type { FilesDifference } from '../../offline/source-files/stored-files.ts'

/** What one chunk does, one file after the other. */
export interface FileGroup {
  readonly files: readonly FileChange[]
}

export interface FileChange {
  readonly path: string
  /** null: the file does not exist any more. */
  readonly load: ListedFile | null
  /** The load whose rows are deleted in the transaction that loads the new ones. null: none. */
  readonly undo: string | null
}

export interface SyncPlan {
  /** Whether the table had no rows, although files were loaded into it. */
  readonly emptied: boolean
  readonly present: number
  readonly changed: FileNames
  readonly vanished: FileNames
}

/** How many there are, and the first of them. */
export interface FileNames {
  readonly count: number
  readonly first: readonly { readonly path: string; readonly why: string }[]
}

/** Files whose rows a sync replaces: `none`, those that changed, or those that vanished, too. */
export const replaceable = ['none', 'changed', 'vanished'] as const

const maxGroupFiles = 32
const maxGroupBytes = 64 * 2 ** 20
const maxNames = 5

export function planOf({ present, changed, vanished }: FilesDifference): Omit<SyncPlan, 'emptied'> {
  const names = (all: readonly { readonly path: string; readonly why: string }[]): FileNames => ({
    count: all.length,
    first: all.slice(0, maxNames),
  })
  return {
    present,
    changed: names(changed.map(({ file: { path }, why }) => ({ path, why }))),
    vanished: names(vanished.map(({ path }) => ({ path, why: 'it does not exist any more' }))),
  }
}

/** Groups of up to 32 files and 64 MB. */
export function groupsOf({ fresh, changed, vanished }: FilesDifference, replace: (typeof replaceable)[number]): FileGroup[] {
  const all = [
    ...fresh.map((file): FileChange => ({ path: file.path, load: file, undo: null })),
    ...(replace === 'none' ? [] : changed.map(({ file, stored }): FileChange => ({ path: file.path, load: file, undo: stored.load }))),
    ...(replace === 'vanished' ? vanished.map(({ path, load }): FileChange => ({ path, load: null, undo: load })) : []),
  ]
  const groups: { files: FileChange[] }[] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const change of all) {
    const size = change.load?.bytes ?? 0
    let group = groups.at(-1)
    if (group === undefined || bytes + size > maxGroupBytes || group.files.length >= maxGroupFiles) {
      group = { files: [] }
      groups.push(group)
      bytes = 0
    }
    bytes += size
    group.files.push(change)
  }
  return groups
}
