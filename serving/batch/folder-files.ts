import { fileURLToPath } from 'node:url'
import { LockstepError } from '../../kernel/errors.ts'
import { removeStalePartials } from '../../runtime/files/partial-file.ts'
import { isStoredObject } from '../../runtime/storage/object-store.ts'
import { openObjectStore } from '../../runtime/storage/open-store.ts'
import { claimName, manifestName, successName } from './batch-spec.ts'

/** The ETags of a folder's files that are of a batch, by their names. */
export async function batchFiles(out: string): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>()
  for await (const { url, etag } of (await openObjectStore(out)).list(`${out}/`)) {
    const name = url.slice(out.length + 1)
    if (isOfBatch(name)) files.set(name, etag)
  }
  return files
}

/** Writes a text file. @returns false: the name is taken */
export async function createText(url: string, text: string): Promise<boolean> {
  const writer = await (await openObjectStore(url)).write(url, { overwrite: false })
  try {
    await writer.write(Buffer.from(text))
    await writer.seal()
    await writer.commit()
    return true
  } catch (error) {
    await writer.abort()
    if (isNameTaken(error)) return false
    throw error
  }
}

/** @returns null: there is no such file; `{}`: it is not JSON */
export async function readJson(url: string): Promise<{ readonly [member: string]: unknown } | null> {
  const store = await openObjectStore(url)
  const found = await store.head(url)
  if (found === null) return null
  try {
    const bytes = await store.read(url, { from: 0, to: found.bytes }, found.etag)
    return JSON.parse(Buffer.from(bytes).toString()) as { readonly [member: string]: unknown }
  } catch {
    return {}
  }
}

/** Killed workers leave unfinished files in a folder on a disk. */
export async function removePartials(out: string): Promise<void> {
  if (!isStoredObject(out)) await removeStalePartials(fileURLToPath(out), isOfBatch)
}

export function isNameTaken(error: unknown): boolean {
  return error instanceof LockstepError && error.code === 'FILE_EXISTS'
}

function isOfBatch(name: string): boolean {
  return /^part-\d{5,}\.(parquet|csv|jsonl)$/.test(name) || [claimName, manifestName, successName].includes(name)
}
