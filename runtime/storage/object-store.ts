import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LockstepError } from '../../kernel/errors.ts'

/** An object in a bucket, or a file. */
export interface StoredObject {
  /** As `s3://bucket/key`, `gs://bucket/key` or `file:///folder/name`. */
  readonly url: string
  readonly bytes: number
  /** Changes whenever the content does. Its form depends on the store. */
  readonly etag: string
  /** Of a listing: empty. */
  readonly metadata: Readonly<Record<string, string>>
}

/** Bytes of an object in [from, to). */
export interface ByteRange {
  readonly from: number
  readonly to: number
}

export interface WriteOptions {
  /** Whether an object of that name is replaced. If not, `commit` fails when the name is taken. */
  readonly overwrite: boolean
  readonly metadata?: Readonly<Record<string, string>>
}

/** Writes one object of any length. Its name has no new content before `commit`. */
export interface ObjectWriter {
  /** @throws LockstepError what the store throws; what was sent is removed */
  write(bytes: Uint8Array): Promise<void>
  /** Sends the rest. `sha256` is the hash of all bytes, hex. */
  seal(): Promise<{ readonly bytes: number; readonly sha256: string }>
  /**
   * Gives the sealed object its name, at once and completely.
   *
   * @throws LockstepError `FILE_EXISTS` unless `overwrite`
   */
  commit(): Promise<StoredObject>
  /** Removes what was sent, unless it has its name. It may be called at any time, any number of times. */
  abort(): Promise<void>
}

/**
 * Objects by URL: in S3 and stores that speak its protocol, in Google Cloud Storage, or files of a folder.
 *
 * All calls throw `STORAGE_DENIED` if credentials are missing, wrong, expired or not sufficient, `STORAGE_UNAVAILABLE`
 * if the store does not answer, and `FILE_UNREADABLE` for a bucket that does not exist.
 */
export interface ObjectStore {
  /** null: there is no such object. */
  head(url: string): Promise<StoredObject | null>
  /**
   * @param etag the content that is expected
   * @throws LockstepError `FILE_UNREADABLE` where there is no such object, `FILE_CHANGED` if its content is another one
   */
  read(url: string, range: ByteRange, etag?: string): Promise<Uint8Array>
  /**
   * The bytes of the object in order.
   *
   * @param etag the content that is expected
   * @throws LockstepError as `read`
   */
  stream(url: string, etag?: string): AsyncIterable<Uint8Array>
  write(url: string, options: WriteOptions): Promise<ObjectWriter>
  /** All objects whose URL begins with `prefix`, in the order of the bytes of their names. */
  list(prefix: string): AsyncIterable<StoredObject>
  /** Removes the object, if it exists. */
  remove(url: string): Promise<void>
  /** Ends connections. */
  close(): void
}

/** The protocols of object storage. */
const objectProtocols = ['s3:', 'gs:', 'file:'] as const

/** Whether a name is a URL of object storage, and not a path. */
export function isObjectUrl(name: string): boolean {
  return objectProtocols.some((protocol) => name.startsWith(`${protocol}//`))
}

/**
 * The name under which a file is found from another folder: an absolute path, or a URL of object storage. A `file:` URL
 * becomes a path.
 */
export function absoluteName(name: string): string {
  if (!isObjectUrl(name)) return resolve(name)
  return name.startsWith('file:') ? fileURLToPath(name) : name
}

/** Whether the name is a URL of object storage, as `absoluteName` gives it. */
export function isStoredObject(name: string): boolean {
  return isObjectUrl(name) && !name.startsWith('file:')
}

/** The bucket and the key of `s3://bucket/key`. The key is taken as written: nothing of it is decoded. */
export function bucketAndKey(url: string): { readonly bucket: string; readonly key: string } {
  const [, bucket, key] = /^[a-z0-9]+:\/\/([^/]+)\/?(.*)$/s.exec(url) ?? []
  if (bucket !== undefined && key !== undefined) return { bucket, key }
  throw new LockstepError('USAGE', `"${url}" names no bucket; write it as s3://bucket/key.`, { details: { url } })
}

/** The SHA-256 of an object's bytes, hex: from its metadata where the writer stated it, else by reading it. */
export async function sha256Of(store: ObjectStore, object: StoredObject): Promise<string> {
  const stated = object.metadata['sha256']
  if (stated !== undefined) return stated
  const hash = createHash('sha256')
  for await (const bytes of store.stream(object.url, object.etag)) hash.update(bytes)
  return hash.digest('hex')
}

export function fileMissing(url: string): LockstepError {
  return new LockstepError('FILE_UNREADABLE', `There is no object "${url}". Check the name.`, { details: { url } })
}

export function fileChanged(url: string): LockstepError {
  return new LockstepError(
    'FILE_CHANGED',
    `"${url}" has other content than before. Files that are in use must not change: write new rows to a new file.`,
    { details: { url } },
  )
}

export function fileExists(url: string): LockstepError {
  return new LockstepError('FILE_EXISTS', `"${url}" already exists. Choose another name, or replace it (--overwrite).`, {
    details: { url },
  })
}
