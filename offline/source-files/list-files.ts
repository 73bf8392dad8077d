import { pathToFileURL } from 'node:url'
import { LockstepError } from '../../kernel/errors.ts'
import type { StoredObject } from '../../runtime/storage/object-store.ts'
import { absoluteName, isStoredObject } from '../../runtime/storage/object-store.ts'
import { openObjectStore } from '../../runtime/storage/open-store.ts'

/** A file that matches a pattern. */
export interface ListedFile extends Pick<StoredObject, 'bytes' | 'etag'> {
  /** An absolute path, or a URL of object storage. */
  readonly path: string
}

const wildcards = /[*?{]/

/**
 * The files that match any of the patterns, each once, in the order of the bytes of their paths. Below the first
 * folder with a wildcard, names that begin with `.` or `_` are left out, as Spark and DuckDB do: `_SUCCESS`,
 * `_delta_log/…`. A folder like `_part=1` is not.
 *
 * @throws LockstepError `FILE_UNREADABLE` if no file matches a pattern, and what the store throws
 */
export async function listFiles(source: string, patterns: readonly string[]): Promise<ListedFile[]> {
  const found = new Map<string, ListedFile>()
  for (const pattern of patterns) {
    let files = 0
    for await (const file of filesOf(absoluteName(pattern))) {
      found.set(file.path, file)
      files++
    }
    // a folder that is unavailable for a moment must not pass for files that were deleted
    if (files === 0) {
      const hint = wildcards.test(pattern) ? '' : ' To name all Parquet files below a folder, end its name in "/".'
      throw new LockstepError(
        'FILE_UNREADABLE',
        `There are no files "${pattern}" for the source "${source}". Check the name, and that the folder or the bucket is there.${hint}`,
        { details: { source, pattern } },
      )
    }
  }
  return [...found.values()].sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)))
}

async function* filesOf(pattern: string): AsyncGenerator<ListedFile> {
  const urlOf = (name: string): string => (isStoredObject(name) ? name : pathToFileURL(name).href)
  const store = await openObjectStore(urlOf(pattern))
  const wildcard = pattern.search(wildcards)
  if (wildcard < 0) {
    const object = await store.head(urlOf(pattern))
    if (object !== null) yield { path: pattern, bytes: object.bytes, etag: object.etag }
    return
  }
  const prefix = pattern.slice(0, wildcard)
  const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1)
  const matches = globPattern(pattern)
  for await (const { url, bytes, etag } of store.list(urlOf(prefix))) {
    const path = absoluteName(url)
    if (matches.test(path) && !path.slice(folder.length).split('/').some(isHidden)) yield { path, bytes, etag }
  }
}

function isHidden(name: string): boolean {
  return name.startsWith('.') || (name.startsWith('_') && !name.includes('='))
}

/** `*` and `?` match anything but a slash, `**` any folders, `{a,b}` one of the texts. */
export function globPattern(pattern: string): RegExp {
  const text = pattern.replaceAll(/\*\*\/|\*\*|\*|\?|\{[^{}]*\}|[\\^$.|+()[\]{}]/g, (part) => {
    switch (part) {
      case '**/':
        return '(?:[^/]+/)*'
      case '**':
        return '.*'
      case '*':
        return '[^/]*'
      case '?':
        return '[^/]'
      default:
        if (part.length === 1) return `\\${part}`
        return `(?:${part
          .slice(1, -1)
          .split(',')
          .map((each) => globPattern(each).source.slice(1, -1))
          .join('|')})`
    }
  })
  return new RegExp(`^${text}$`, 's')
}
