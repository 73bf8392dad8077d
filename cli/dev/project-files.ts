import { readdirSync, statSync } from 'node:fs'
import { join, parse } from 'node:path'
import { didYouMean } from '../../kernel/did-you-mean.ts'
import { LockstepError } from '../../kernel/errors.ts'

/** A file of the project, as it is now. */
export interface ProjectFile {
  readonly path: string
  /** The file name without its ending: a source or a model. */
  readonly name: string
  /** Changes when the file does. */
  readonly stamp: string
}

export const rowEndings = ['.csv', '.jsonl', '.parquet']
export const modelEndings = ['.onnx']

/** The files with these endings in a folder, which may be missing, by name. */
export function filesIn(folder: string, endings: readonly string[]): ProjectFile[] {
  return namesIn(folder).flatMap((base) => {
    const { name, ext } = parse(base)
    const path = join(folder, base)
    const stamp = endings.includes(ext) ? fileStamp(path) : null
    return stamp === null ? [] : [{ path, name, stamp }]
  })
}

/** Identifies what a file holds by its time, size and inode; null if no such file can be reached. */
export function fileStamp(path: string): string | null {
  try {
    const stat = statSync(path)
    return stat.isFile() ? `${stat.mtimeMs} ${stat.size} ${stat.ino}` : null
  } catch {
    return null
  }
}

/**
 * The file of each name.
 *
 * @throws LockstepError `USAGE` if two files have one name
 */
export function byName(files: readonly ProjectFile[]): ReadonlyMap<string, ProjectFile> {
  const found = new Map<string, ProjectFile>()
  for (const file of files) {
    const other = found.get(file.name)
    if (other !== undefined)
      throw new LockstepError('USAGE', `Both "${other.path}" and "${file.path}" are named after "${file.name}"; keep one of them.`)
    found.set(file.name, file)
  }
  return found
}

/** A note for each file that is named almost like something that it could belong to. */
export function misnamed(files: readonly ProjectFile[], what: string, names: readonly string[]): string[] {
  return files.flatMap(({ name, path }) => {
    const near = names.includes(name) ? '' : didYouMean(name, names)
    return near === '' ? [] : [`"${path}" belongs to no ${what}.${near}`]
  })
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).toSorted()
  } catch {
    return []
  }
}
