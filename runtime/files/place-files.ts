import { randomUUID } from 'node:crypto'
import { access, link, lstat, open, rename, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { LockstepError, messageOf } from '../../kernel/errors.ts'

/** A complete file under a temporary name in the folder of its final name, or an object that has no name yet. */
export interface SealedFile {
  readonly partial: string
  readonly path: string
  /** Absent: it is a file. */
  readonly object?: {
    /** Gives the object its name. */
    commit(): Promise<unknown>
    /** Removes the object of this name, if there is one. */
    remove(name: string): Promise<void>
  }
}

/**
 * Gives files that belong together their final names, in order: all or none. If one name cannot be given, the files
 * that were there before are restored. Even if the process is killed halfway, a new file never stands beside an old
 * one: the old files are first moved to hidden names, where their bytes stay.
 *
 *     old a, old b   ->   old b   ->   (none)   ->   new a   ->   new a, new b
 *
 * Objects of a store get their names in the opposite order, so that the first, which describes the others, is the last
 * to appear. Objects that were replaced cannot be restored.
 *
 * @param gone names that must not exist afterwards, where `overwrite`
 * @throws LockstepError `FILE_EXISTS` unless `overwrite`; `WRITE_FAILED`
 */
export async function placeFiles(files: readonly SealedFile[], overwrite: boolean, gone: readonly string[] = []): Promise<void> {
  if (files.some(({ object }) => object !== undefined)) return await placeObjects(files, overwrite, gone)
  const aside: { readonly path: string; readonly kept: string }[] = []
  const placed: string[] = []
  let path = ''
  try {
    if (overwrite && files.length > 1) {
      for (const name of [...files.map((file) => file.path), ...gone]) {
        path = name
        if (!(await isThere(path))) continue
        const kept = join(dirname(path), `.${basename(path)}.${randomUUID()}.replaced`)
        await rename(path, kept)
        aside.push({ path, kept })
      }
    }
    for (const file of files) {
      path = file.path
      if (overwrite) await rename(file.partial, path)
      else await nameWithoutReplacing(file.partial, path)
      placed.push(path)
    }
  } catch (cause) {
    for (const name of placed.toReversed()) await unlink(name).catch(() => undefined)
    for (const { path: name, kept } of aside.toReversed()) await rename(kept, name).catch(() => undefined)
    throw cause instanceof LockstepError ? cause : writeFailed(path, cause)
  }
  for (const { kept } of aside) await unlink(kept).catch(() => undefined)
  for (const folder of new Set(files.map((file) => dirname(file.path)))) await syncFolder(folder)
}

async function placeObjects(files: readonly SealedFile[], overwrite: boolean, gone: readonly string[]): Promise<void> {
  const [first] = files
  if (overwrite && files.length > 1 && first !== undefined) for (const name of [first.path, ...gone]) await first.object?.remove(name)
  const placed: SealedFile[] = []
  try {
    for (const file of files.toReversed()) {
      await file.object?.commit()
      placed.push(file)
    }
  } catch (error) {
    if (!overwrite) for (const { object, path } of placed) await object?.remove(path).catch(() => undefined)
    throw error
  }
}

export function writeFailed(path: string, cause: unknown): LockstepError {
  return new LockstepError(
    'WRITE_FAILED',
    `The file "${path}" could not be written: ${messageOf(cause)}. No partial file was left. Choose another place, or free some space if the disk is full.`,
    { cause, details: { path } },
  )
}

/** Refuses anything that must not be moved aside, such as a folder. */
async function isThere(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => null)
  if (found?.isDirectory() === true) throw new Error('it is a folder')
  return found !== null
}

/**
 * A hard link fails where the name is taken, so that of two writers one wins. File systems without links get a check
 * and a rename.
 */
async function nameWithoutReplacing(partial: string, path: string): Promise<void> {
  try {
    await link(partial, path)
  } catch (cause) {
    if (codeOf(cause) === 'EEXIST' || (await exists(path))) throw await alreadyThere(path)
    await rename(partial, path)
    return
  }
  await unlink(partial).catch(() => undefined)
}

/**
 * Makes the names themselves durable. Some systems cannot open a folder; there, the names become durable soon after.
 */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => null)
  await handle?.sync().catch(() => undefined)
  await handle?.close()
}

export function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

export async function alreadyThere(path: string): Promise<LockstepError> {
  const found = await lstat(path).catch(() => null)
  if (found?.isDirectory() === true)
    return new LockstepError('FILE_EXISTS', `"${path}" is a folder. Choose a name for a file, in that folder or elsewhere.`, {
      details: { path },
    })
  return new LockstepError('FILE_EXISTS', `The file "${path}" already exists. Choose another name, or replace it (--overwrite).`, {
    details: { path },
  })
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
