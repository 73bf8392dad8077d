import { GoogleAuth } from 'google-auth-library'
import { z } from 'zod'
import { LockstepError } from '../../kernel/errors.ts'
import { jsonOrNull } from '../../kernel/json-or-null.ts'
import { randomBackoffMs, sleep } from '../async.ts'
import { readVariable } from '../config.ts'
import type { ObjectStore, StoredObject } from './object-store.ts'
import { bucketAndKey, fileChanged, fileMissing } from './object-store.ts'
import { storageError, withoutAnswer } from './storage-errors.ts'
import type { Upload } from './upload-writer.ts'
import { createUploadWriter } from './upload-writer.ts'

const howToSignIn =
  'Check the credentials: GOOGLE_APPLICATION_CREDENTIALS, "gcloud auth application-default login", or the service account of the machine or the pod; and that they may use this bucket.'
const scope = 'https://www.googleapis.com/auth/devstorage.read_write'
const answerTimeoutMs = 60_000
const attempts = 5

const resource = z.object({
  name: z.string(),
  size: z.string().or(z.number()).transform(Number),
  generation: z.string().or(z.number()).transform(String),
  metadata: z.record(z.string(), z.string()).optional(),
})
const listing = z.object({ items: z.array(resource).optional(), nextPageToken: z.string().optional() })
const failure = z.object({ error: z.object({ message: z.string(), errors: z.array(z.object({ reason: z.string() })).optional() }) })

interface Call {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  /** Statuses that are no failure. */
  readonly allowed?: readonly number[]
}

type SendCall = (action: string, url: string, path: string, call?: Call) => Promise<Response>

/**
 * Objects of Google Cloud Storage, by its JSON API (https://cloud.google.com/storage/docs/json_api/v1). Credentials are
 * Google's application default credentials. An object's ETag is its generation.
 */
export function createGcsStore(): ObjectStore {
  const auth = new GoogleAuth({ scopes: [scope] })

  async function signIn(action: string, url: string): Promise<Headers> {
    return await auth.getRequestHeaders().catch((cause: unknown) => {
      throw storageError(action, url, { ...withoutAnswer(cause), name: 'CredentialsProviderError' }, howToSignIn)
    })
  }

  /** Retries what failed on the way, and answers that ask for it. All calls are conditional or harmless to repeat. */
  async function call(
    action: string,
    url: string,
    path: string,
    { method = 'GET', headers = {}, body, allowed = [] }: Call = {},
  ): Promise<Response> {
    // an emulator that stands for Google's storage, where Google's tools look for it too
    const emulator = readVariable('STORAGE_EMULATOR_HOST')
    const base = emulator === null ? 'https://storage.googleapis.com' : emulator.replace(/^(?!https?:\/\/)/, 'http://').replace(/\/$/, '')
    for (let attempt = 1; ; attempt++) {
      try {
        const signed = emulator === null ? await signIn(action, url) : undefined
        const response = await fetch(path.startsWith('http') ? path : `${base}${path}`, {
          method,
          headers: { ...Object.fromEntries(signed?.entries() ?? []), ...headers },
          ...(body === undefined ? {} : { body: typeof body === 'string' ? body : Buffer.from(body) }),
          signal: AbortSignal.timeout(answerTimeoutMs),
        })
        if (response.ok || allowed.includes(response.status)) return response
        throw await failureOf(action, url, response)
      } catch (cause) {
        const error = cause instanceof LockstepError ? cause : storageError(action, url, withoutAnswer(cause), howToSignIn)
        if (attempt === attempts || error.code !== 'STORAGE_UNAVAILABLE') throw error
        await sleep(randomBackoffMs(attempt, { firstMs: 200, maxMs: 5_000 }))
      }
    }
  }

  async function head(url: string): Promise<StoredObject | null> {
    const response = await call('read', url, pathOf(url), { allowed: [404] })
    return response.status === 404 ? null : storedObject(url, resource.parse(await response.json()))
  }

  async function get(url: string, etag: string | undefined, headers: Readonly<Record<string, string>>): Promise<Response> {
    const condition = etag === undefined ? '' : `&ifGenerationMatch=${encodeURIComponent(etag)}`
    return await call('read', url, `${pathOf(url)}?alt=media${condition}`, { headers })
  }

  return {
    head,
    read: async (url, { from, to }, etag) => {
      const response = await get(url, etag, { range: `bytes=${from}-${to - 1}` })
      return new Uint8Array(await response.arrayBuffer())
    },
    async *stream(url, etag) {
      const { body } = await get(url, etag, {})
      try {
        if (body !== null) yield* body
      } catch (cause) {
        throw storageError('read', url, withoutAnswer(cause), howToSignIn)
      }
    },
    write: async (url, options) =>
      createUploadWriter(head, url, options, 1, (metadata) => resumableUpload(call, url, options.overwrite, metadata)),
    async *list(prefix) {
      const { bucket, key } = bucketAndKey(prefix)
      let token: string | undefined
      do {
        const query = new URLSearchParams({ prefix: key, ...(token === undefined ? {} : { pageToken: token }) })
        const response = await call('listed', prefix, `/storage/v1/b/${encodeURIComponent(bucket)}/o?${query.toString()}`)
        const page = listing.parse(await response.json())
        for (const item of page.items ?? []) yield storedObject(`gs://${bucket}/${item.name}`, item)
        token = page.nextPageToken
      } while (token !== undefined)
    },
    remove: async (url) => {
      await call('removed', url, pathOf(url), { method: 'DELETE', allowed: [404] })
    },
    close: () => undefined,
  }
}

/**
 * A resumable upload. Its parts follow each other, and the last one makes the object, so that one waits for `complete`.
 *
 * Source: https://cloud.google.com/storage/docs/performing-resumable-uploads
 */
function resumableUpload(call: SendCall, url: string, overwrite: boolean, metadata: Readonly<Record<string, string>>): Upload {
  const { bucket, key } = bucketAndKey(url)
  let sent = 0
  let session: string | null = null
  let last: Uint8Array = new Uint8Array(0)

  async function begin(sha256: string | null): Promise<string> {
    const query = new URLSearchParams({ uploadType: 'resumable', name: key, ...(overwrite ? {} : { ifGenerationMatch: '0' }) })
    const response = await call('written', url, `/upload/storage/v1/b/${encodeURIComponent(bucket)}/o?${query.toString()}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ metadata: { ...metadata, ...(sha256 === null ? {} : { sha256 }) } }),
    })
    const place = response.headers.get('location')
    if (place === null)
      throw storageError('written', url, { name: 'Error', httpStatus: null, message: 'no upload was begun', cause: null }, '')
    return place
  }

  /** @param total null: more parts follow */
  async function sendLast(total: number | null, sha256: string | null): Promise<void> {
    session ??= await begin(sha256)
    const range = last.length === 0 ? '*' : `${sent}-${sent + last.length - 1}`
    await call('written', url, session, {
      method: 'PUT',
      headers: { 'content-range': `bytes ${range}/${total ?? '*'}` },
      body: last,
      allowed: [308],
    })
    sent += last.length
  }

  return {
    async send(part) {
      if (last.length > 0) await sendLast(null, null)
      last = part.slice()
    },
    async complete(rest, { bytes, sha256 }) {
      if (last.length === 0) last = rest
      await sendLast(bytes, sha256)
    },
    async cancel() {
      const place = session
      session = null
      if (place !== null) await call('written', url, place, { method: 'DELETE', allowed: [404, 499] }).catch(() => undefined)
    },
  }
}

function pathOf(url: string): string {
  const { bucket, key } = bucketAndKey(url)
  if (key !== '' && !key.endsWith('/')) return `/storage/v1/b/${encodeURIComponent(bucket)}/o/${encodeURIComponent(key)}`
  throw new LockstepError('USAGE', `"${url}" names a folder; name an object, as "gs://bucket/rows.parquet".`, { details: { url } })
}

function storedObject(url: string, { size, generation, metadata = {} }: z.infer<typeof resource>): StoredObject {
  return { url, bytes: size, etag: generation, metadata }
}

async function failureOf(action: string, url: string, response: Response): Promise<LockstepError> {
  const text = await response.text().catch(() => '')
  const parsed = failure.safeParse(jsonOrNull(text))
  const message = parsed.data?.error.message ?? (text.slice(0, 200) || response.statusText)
  const { status } = response
  if (status === 412) return fileChanged(url)
  if (status === 404 && action === 'read') return fileMissing(url)
  const name = status === 404 ? 'NoSuchBucket' : (parsed.data?.error.errors?.[0]?.reason ?? `HTTP ${status}`)
  return storageError(action, url, { name, httpStatus: status, message, cause: null }, howToSignIn)
}
