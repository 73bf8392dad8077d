import { readFile, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { LockstepError } from '../../kernel/errors.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { DatasetManifest } from '../datasets/dataset-manifest.ts'
import { pathOfManifest, within } from '../datasets/dataset-manifest.ts'
import { isStoredObject } from '../../runtime/storage/object-store.ts'
import { putText, readText, removeHidden, removeObjects, removeParts } from './export-objects.ts'
import { hashFile } from '../files/hash-file.ts'
import type { SealedFile } from '../../runtime/files/place-files.ts'
import { placeFiles, writeFailed } from '../../runtime/files/place-files.ts'
import type { ExportSpec, WrittenExportPart } from './export-spec.ts'
import { exportFolder, partPathOf } from './export-spec.ts'
import { namesIn } from './plan-export.ts'

/** Whether the folder contains the manifest of the export, which is written last. */
export async function isPublished({ id, out }: Pick<ExportSpec, 'id' | 'out'>): Promise<boolean> {
  const path = within(out, 'manifest.json')
  const text = isStoredObject(out) ? await readText(path) : await readFile(path, 'utf8').catch(() => null)
  if (text === null) return false
  try {
    const manifest: unknown = JSON.parse(text)
    return typeof manifest === 'object' && manifest !== null && 'id' in manifest && manifest.id === id
  } catch {
    return false
  }
}

/**
 * Records the training set in the registry, then gives the files their final names, the manifest last. If a process is
 * killed halfway, the next caller completes the work: files with their final names keep them.
 *
 * @throws LockstepError `FILE_EXISTS`, `WRITE_FAILED`; then the registry has no record of the set
 */
export async function publishExport(
  db: Pick<Database, 'kysely'>,
  manifest: DatasetManifest,
  files: readonly SealedFile[],
  { folder, overwrite }: { readonly folder: string; readonly overwrite: boolean },
): Promise<void> {
  const beside = { partial: within(folder, 'manifest.json'), path: pathOfManifest(manifest) }
  const text = JSON.stringify(manifest)
  const stored = isStoredObject(manifest.path)
  if (!stored)
    await writeFile(beside.partial, `${JSON.stringify(manifest, null, 2)}\n`, { flush: true }).catch((cause: unknown) => {
      throw writeFailed(beside.path, cause)
    })
  const { id, path, service } = manifest
  await db.kysely
    .insertInto('lockstep.datasets')
    .values({ id, service: service.id, fingerprint: service.fingerprint, path, manifest: text })
    .onConflict((conflict) => conflict.column('id').doUpdateSet({ manifest: text }))
    .execute()
  try {
    if (stored) return await putText(beside.path, `${JSON.stringify(manifest, null, 2)}\n`, false)
    const all = [...files, beside]
    const left: SealedFile[] = []
    for (const file of all) if (!(await isPlaced(file))) left.push(file)
    const gone = overwrite ? (await namesIn(manifest.path)).filter((name) => !all.some((file) => file.path === name)) : []
    await placeFiles(left, overwrite, gone)
  } catch (error) {
    await forgetDataset(db, id)
    throw error
  }
}

/** Removes the files of an export that failed or was cancelled, the manifest first. */
export async function removeExport(
  db: Pick<Database, 'kysely'>,
  spec: ExportSpec,
  job: number,
  parts: readonly { readonly part: number; readonly written: WrittenExportPart }[],
): Promise<void> {
  if (isStoredObject(spec.out)) {
    if (await isPublished(spec)) await removeObjects([within(spec.out, 'manifest.json')])
    await removeParts(
      spec,
      parts.map(({ written }) => written),
    )
    await forgetDataset(db, spec.id)
    return await removeHidden(spec, job)
  }
  if (await isPublished(spec)) await unlink(join(spec.out, 'manifest.json'))
  const folder = exportFolder(spec.out, job)
  for (const { part, written } of parts) {
    const path = partPathOf(spec, part)
    // a part that is still under its hidden name has no final name; a file with the final name may belong to another
    // export
    if ((await find(join(folder, written.file))) !== null || (await find(path))?.size !== written.bytes) continue
    if ((await hashFile(path, undefined)) === written.sha256) await rm(path, { force: true })
  }
  await forgetDataset(db, spec.id)
  await rm(folder, { recursive: true, force: true })
}

async function forgetDataset({ kysely }: Pick<Database, 'kysely'>, id: string): Promise<void> {
  await kysely.deleteFrom('lockstep.datasets').where('id', '=', id).execute()
}

/** Whether a file has its final name already. Also removes a hard link that was left under the hidden name. */
async function isPlaced({ partial, path }: SealedFile): Promise<boolean> {
  const [hidden, named] = [await find(partial), await find(path)]
  if (hidden !== null && (named === null || hidden.ino !== named.ino || hidden.dev !== named.dev)) return false
  if (named === null) {
    throw new LockstepError(
      'WRITE_FAILED',
      `The file "${path}" was removed from "${dirname(partial)}" before the export was complete; run the export again.`,
      {
        details: { path },
      },
    )
  }
  if (hidden !== null) await unlink(partial)
  return true
}

async function find(path: string) {
  return await stat(path).catch(() => null)
}
