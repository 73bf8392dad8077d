import { glob, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { LockstepError } from '../../kernel/errors.ts'
import type { FilesSpec } from '../../kernel/files-spec.ts'
import { isObjectUrl } from '../../runtime/storage/object-store.ts'
import { hashFile } from '../files/hash-file.ts'
import { listFiles } from '../source-files/list-files.ts'

/** The files of a source, as they were when its rows were read. A manifest keeps them. */
export interface SourceFiles {
  readonly source: string
  /** RFC 3339: rows with an earlier event time were left out. Without it, all rows were read. */
  readonly from?: string
  /** In the order of their paths. */
  readonly files: readonly PinnedFile[]
}

export interface PinnedFile {
  readonly path: string
  readonly bytes: number
  readonly sha256: string
}

/**
 * The Parquet files that a name or a pattern such as `rows/2026-*.parquet` stands for.
 *
 * @throws LockstepError `FILE_UNREADABLE` where there is none; `UNSUPPORTED` for object storage
 */
export async function findFiles(source: string, pattern: string): Promise<string[]> {
  requireDisk(source, pattern)
  const found: string[] = []
  for await (const path of glob(resolve(pattern))) found.push(path)
  found.sort()
  if (found.length > 0) return found
  throw new LockstepError('FILE_UNREADABLE', `There are no files "${pattern}" for the source "${source}". Check the name.`, {
    details: { source, pattern },
  })
}

/**
 * The files that a source declares with `parquetFiles()`, as a sync lists them.
 *
 * @throws LockstepError `FILE_UNREADABLE` where there is none; `UNSUPPORTED` for object storage
 */
export async function findDeclaredFiles(source: string, { patterns }: Pick<FilesSpec, 'patterns'>): Promise<string[]> {
  for (const pattern of patterns) requireDisk(source, pattern)
  return (await listFiles(source, patterns)).map(({ path }) => path)
}

function requireDisk(source: string, pattern: string): void {
  if (!isObjectUrl(pattern)) return
  throw new LockstepError(
    'UNSUPPORTED',
    `The files "${pattern}" of the source "${source}" are in object storage, which this engine does not read. Copy them to a disk, and name them: --source ${source}=FILES.parquet.`,
    { details: { source, pattern } },
  )
}

/** @throws LockstepError `FILE_UNREADABLE` */
export async function pinFiles(source: string, paths: readonly string[], signal: AbortSignal | undefined): Promise<SourceFiles> {
  const files: PinnedFile[] = []
  for (const path of paths) {
    const sha256 = await hashFile(path, signal)
    if (sha256 === null) throw lost(source, path)
    files.push({ path, bytes: (await stat(path)).size, sha256 })
  }
  return { source, files }
}

/** @throws LockstepError `FILE_CHANGED` naming the file that has changed since it was pinned */
export async function requireUnchanged({ source, files }: SourceFiles, signal: AbortSignal | undefined): Promise<void> {
  for (const { path, sha256 } of files) {
    const now = await hashFile(path, signal)
    if (now === null) throw lost(source, path)
    if (now === sha256) continue
    throw new LockstepError(
      'FILE_CHANGED',
      `The file "${path}" of the source "${source}" has changed: its SHA-256 is ${now}, not ${sha256}. Restore it, or make the training set again.`,
      { details: { source, path } },
    )
  }
}

/** When the files were last written. */
export async function timesOf(paths: readonly string[]): Promise<number[]> {
  return await Promise.all(paths.map(async (path) => (await stat(path)).mtimeMs))
}

/**
 * Files that are written while their rows are read may give rows of both.
 *
 * @param before what `timesOf` gave before they were read
 * @throws LockstepError `FILE_CHANGED`
 */
export async function requireSameTimes(source: string, paths: readonly string[], before: readonly number[]): Promise<void> {
  const now = await timesOf(paths)
  const changed = paths.find((_, i) => now[i] !== before[i])
  if (changed === undefined) return
  throw new LockstepError(
    'FILE_CHANGED',
    `The file "${changed}" of the source "${source}" was written while its rows were read. Make the training set again when the file is complete.`,
    { details: { source, path: changed } },
  )
}

function lost(source: string, path: string): LockstepError {
  return new LockstepError('FILE_UNREADABLE', `The file "${path}" of the source "${source}" does not exist any more.`, {
    details: { source, path },
  })
}
