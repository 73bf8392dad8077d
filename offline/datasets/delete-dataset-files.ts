import { readFile, rm, rmdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { isStoredObject } from '../../runtime/storage/object-store.ts'
import { openObjectStore } from '../../runtime/storage/open-store.ts'
import { filesOf, pathOfManifest } from './dataset-manifest.ts'
import type { StoredDataset } from './stored-datasets.ts'

/**
 * The manifest beside a file names the training set that the file holds now. Without a manifest, nothing is deleted.
 *
 * @throws LockstepError `FILE_EXISTS` where the manifest belongs to another training set
 */
export async function deleteDatasetFiles({ id, manifest }: StoredDataset): Promise<string[]> {
  const beside = pathOfManifest(manifest)
  const existing = await idIn(beside)
  if (existing !== null && existing !== id)
    throw new LockstepError(
      'FILE_EXISTS',
      `The files of the training set "${id}" were overwritten: "${beside}" belongs to "${existing}". Delete it without --files.`,
      { details: { id, path: beside, holds: existing } },
    )
  if (existing === null) return []
  const paths = [...filesOf(manifest).map(({ path }) => path), beside]
  for (const path of paths) {
    if (isStoredObject(path)) await (await openObjectStore(path)).remove(path)
    else await rm(path, { force: true })
  }
  // numbered parts are in their own folder
  if (dirname(beside) === manifest.path && !isStoredObject(beside)) await rmdir(manifest.path).catch(() => undefined)
  return paths
}

/** null: there is no such object. */
async function objectText(url: string): Promise<string | null> {
  const store = await openObjectStore(url)
  const object = await store.head(url)
  return object === null ? null : Buffer.from(await store.read(url, { from: 0, to: object.bytes }, object.etag)).toString('utf8')
}

/** Returns null where there is no manifest. @throws LockstepError `FILE_UNREADABLE` */
async function idIn(path: string): Promise<string | null> {
  try {
    const text = isStoredObject(path) ? await objectText(path) : await readFile(path, 'utf8')
    if (text === null) return null
    const json: unknown = JSON.parse(text)
    return typeof json === 'object' && json !== null && 'id' in json ? String(json.id) : 'something else'
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw new LockstepError(
      'FILE_UNREADABLE',
      `The manifest "${path}" cannot be read: ${messageOf(cause)}. Delete the training set without --files.`,
      {
        cause,
        details: { path },
      },
    )
  }
}
