import { glob, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { filesPattern } from '../../kernel/specs/files-spec.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { isObjectUrl, isStoredObject } from '../../runtime/storage/object-store.ts'
import { openObjectStore } from '../../runtime/storage/open-store.ts'
import { hashFile } from '../files/hash-file.ts'
import { listFiles } from '../source-files/list-files.ts'
import type { StagedObject, StagedObjects } from './stage-objects.ts'

/** The files of a source, as they were when its rows were read. A manifest keeps them. */
export interface SourceFiles {
  readonly source: string
  /** RFC 3339: rows with an earlier event time were left out. Without it, all rows were read. */
  readonly from?: string
  /** In the order of their paths. */
  readonly files: readonly PinnedFile[]
}

/** A file of this machine has its SHA-256, an object its ETag. */
export type PinnedFile = { readonly path: string; readonly bytes: number } & ({ readonly sha256: string } | { readonly etag: string })

/** A file as an engine reads it. */
export interface OpenedFile {
  /** An absolute path, or a URL of object storage. */
  readonly path: string
  /** The path to read: its own, or that of its copy. */
  readonly local: string
  /** When it was last written; of an object, what was copied. */
  readonly content: { readonly mtimeMs: number } | Pick<StagedObject, 'bytes' | 'etag'>
}

/**
 * The Parquet files of a name, a folder `rows/` or a pattern such as `rows/2026-*.parquet`, as absolute paths or URLs.
 *
 * @throws LockstepError `FILE_UNREADABLE` where there is none, and what the store throws
 */
export async function findFiles(source: string, pattern: string): Promise<string[]> {
  if (isObjectUrl(pattern) || pattern.endsWith('/')) return (await listFiles(source, [filesPattern(pattern)])).map(({ path }) => path)
  const named = await stat(resolve(pattern)).catch(() => null)
  // brackets of a name are no pattern if there is such a file
  if (named?.isFile() === true) return [resolve(pattern)]
  const found: string[] = []
  for await (const path of glob(resolve(pattern))) found.push(path)
  found.sort()
  if (found.length > 0) return found
  throw new LockstepError('FILE_UNREADABLE', `There are no files "${pattern}" for the source "${source}". Check the name.`, {
    details: { source, pattern },
  })
}

/** @param columns the columns that are read; null: all */
export async function openFile(
  path: string,
  columns: readonly string[] | null,
  objects: StagedObjects,
  signal: AbortSignal | undefined,
): Promise<OpenedFile> {
  if (!isStoredObject(path)) return { path, local: path, content: { mtimeMs: await timeOf(path) } }
  const { local, bytes, etag } = await objects.stage(path, columns, signal)
  return { path, local, content: { bytes, etag } }
}

/** @throws LockstepError `FILE_UNREADABLE` */
export async function pinFiles(source: string, opened: readonly OpenedFile[], signal: AbortSignal | undefined): Promise<SourceFiles> {
  const files: PinnedFile[] = []
  for (const { path, content } of opened) {
    if ('etag' in content) {
      files.push({ path, bytes: content.bytes, etag: content.etag })
      continue
    }
    const sha256 = await hashFile(path, signal)
    if (sha256 === null) throw lost(source, path)
    files.push({ path, bytes: (await stat(path)).size, sha256 })
  }
  return { source, files }
}

/** @throws LockstepError `FILE_CHANGED` naming the file that has changed since it was pinned */
export async function requireUnchanged({ source, files }: SourceFiles, signal: AbortSignal | undefined): Promise<void> {
  for (const file of files) {
    const { path } = file
    const [what, was, now] =
      'etag' in file
        ? ['ETag', file.etag, (await (await openObjectStore(path)).head(path))?.etag ?? null]
        : ['SHA-256', file.sha256, await hashFile(path, signal)]
    if (now === null) throw lost(source, path)
    if (now === was) continue
    throw new LockstepError(
      'FILE_CHANGED',
      `The file "${path}" of the source "${source}" has changed: its ${what} is ${now}, not ${was}. Restore it, or make the training set again.`,
      { details: { source, path } },
    )
  }
}

async function timeOf(path: string): Promise<number> {
  return (await stat(path)).mtimeMs
}

/**
 * Files that are written while their rows are read may give rows of both. A copy of an object is of one content.
 *
 * @throws LockstepError `FILE_CHANGED`
 */
export async function requireSameTimes(source: string, opened: readonly OpenedFile[]): Promise<void> {
  for (const { path, content } of opened) {
    if ('etag' in content || content.mtimeMs === (await timeOf(path))) continue
    throw new LockstepError(
      'FILE_CHANGED',
      `The file "${path}" of the source "${source}" was written while its rows were read. Make the training set again when the file is complete.`,
      { details: { source, path } },
    )
  }
}

function lost(source: string, path: string): LockstepError {
  return new LockstepError('FILE_UNREADABLE', `The file "${path}" of the source "${source}" does not exist any more.`, {
    details: { source, path },
  })
}
