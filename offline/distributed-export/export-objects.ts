import { basename } from 'node:path'
import { LockstepError } from '../../kernel/errors.ts'
import type { SealedFile } from '../../runtime/files/place-files.ts'
import { placeFiles } from '../../runtime/files/place-files.ts'
import { openSink } from '../../runtime/files/open-sink.ts'
import { fileChanged, sha256Of } from '../../runtime/storage/object-store.ts'
import { openObjectStore } from '../../runtime/storage/open-store.ts'
import type { WrittenFile } from '../files/dataset-writer.ts'
import type { ExportSpec, WrittenExportPart } from './export-spec.ts'
import { within } from '../datasets/dataset-manifest.ts'
import { exportFolder } from './export-spec.ts'

/**
 * The files of an export in object storage. A part gets its final name at once, on the condition that the name is free;
 * a second writer of the same bytes finds them there. The manifest is written last: without it, the export is not
 * complete. Statistics of the parts lie under `.export-JOB/` meanwhile.
 */
export async function putText(url: string, text: string, overwrite: boolean): Promise<void> {
  const sink = await openSink(url, overwrite)
  await sink.write(Buffer.from(text))
  await placeFiles([await sink.seal()], overwrite)
}

/** null: there is no such object. */
export async function readText(url: string): Promise<string | null> {
  const store = await openObjectStore(url)
  const object = await store.head(url)
  return object === null ? null : Buffer.from(await store.read(url, { from: 0, to: object.bytes }, object.etag)).toString()
}

/** The names under a folder that end in one of an export. */
export async function listObjects(folder: string, isWanted: (name: string) => boolean): Promise<string[]> {
  const found: string[] = []
  for await (const { url } of (await openObjectStore(folder)).list(`${folder}/`))
    if (isWanted(url.slice(folder.length + 1))) found.push(url)
  return found
}

export async function removeObjects(urls: readonly string[]): Promise<void> {
  for (const url of urls) await (await openObjectStore(url)).remove(url)
}

/** Removes what lies under the hidden name of an export. */
export async function removeHidden({ out }: Pick<ExportSpec, 'out'>, job: number): Promise<void> {
  await removeObjects(await listObjects(exportFolder(out, job), () => true))
}

/**
 * Gives a part its name.
 *
 * @throws LockstepError `NOT_REPRODUCIBLE` where an object of the name has other content
 */
export async function placePart(sealed: SealedFile & WrittenFile, writer: { abort(): Promise<void> }): Promise<void> {
  try {
    await placeFiles([sealed], false)
  } catch (error) {
    await writer.abort()
    if (!(error instanceof LockstepError) || error.code !== 'FILE_EXISTS') throw error
    if (await hasContent(sealed.path, sealed)) return
    throw new LockstepError(
      'NOT_REPRODUCIBLE',
      `"${sealed.path}" already exists with other content. Another program writes to the folder, or rows of a source were changed. Choose another folder.`,
      { cause: error, details: { url: sealed.path } },
    )
  }
}

/** @throws LockstepError `FILE_CHANGED` where a part was removed or replaced since it was written */
export async function requireParts({ out }: Pick<ExportSpec, 'out'>, parts: readonly WrittenExportPart[]): Promise<void> {
  for (const written of parts) {
    const url = within(out, written.file)
    if (!(await hasContent(url, written))) throw fileChanged(url)
  }
}

/** Removes the parts, unless another program has replaced them. */
export async function removeParts({ out }: Pick<ExportSpec, 'out'>, parts: readonly WrittenExportPart[]): Promise<void> {
  for (const written of parts) {
    const url = within(out, written.file)
    if (await hasContent(url, written)) await removeObjects([url])
  }
}

async function hasContent(url: string, { bytes, sha256 }: Pick<WrittenExportPart, 'bytes' | 'sha256'>): Promise<boolean> {
  const store = await openObjectStore(url)
  const there = await store.head(url)
  return there !== null && there.bytes === bytes && (await sha256Of(store, there)) === sha256
}

/** Whether it is a file of an export: a part, whatever its number, or the manifest. */
export function isOfExport(path: string): boolean {
  const name = basename(path)
  return /^part-\d{5,}\.(parquet|csv|jsonl)$/.test(name) || name === 'manifest.json'
}
