import type { ObjectIdentifier } from '@aws-sdk/client-s3'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { readVariable } from '../config.ts'
import type { ByteRange, ObjectStore, StoredObject } from './object-store.ts'
import { bucketAndKey, fileChanged, fileMissing } from './object-store.ts'
import { storageError, withoutAnswer } from './storage-errors.ts'
import type { Upload } from './upload-writer.ts'
import { createUploadWriter } from './upload-writer.ts'

/** A profile that is named hides the credentials in environment variables. */
function howToSignIn(): string {
  const profile = readVariable('AWS_PROFILE')
  return profile === null
    ? 'Check the credentials: environment variables, a profile (AWS_PROFILE), or the role of the machine or the pod; and that they may use this bucket.'
    : `Check that the profile "${profile}", which AWS_PROFILE names, is in ~/.aws/config or ~/.aws/credentials and that its credentials may use this bucket; or unset AWS_PROFILE.`
}

const maxAttempts = 5
const connectTimeoutMs = 5_000
const answerTimeoutMs = 60_000
/** How many parts may be on their way. */
const partsAtOnce = 4

type RunCall = <T>(action: string, url: string, run: () => Promise<T>) => Promise<T>

/**
 * Objects of S3, and of stores that speak its protocol. Credentials, region and endpoint come from where the AWS tools
 * find them. With an endpoint of the user's own, the bucket stands in the path.
 */
export function createS3Store(): ObjectStore {
  // the endpoint that stands for Amazon's, where AWS tools look for it too
  const endpoint = readVariable('AWS_ENDPOINT_URL_S3') ?? readVariable('AWS_ENDPOINT_URL')
  if (endpoint !== null && !/^https?:\/\/[^/]/.test(endpoint))
    throw new LockstepError(
      'CONFIG_INVALID',
      `The endpoint of S3 is "${endpoint}", which is not a URL. Write AWS_ENDPOINT_URL_S3 with its scheme, such as https://minio.example:9000.`,
    )
  const client = new S3Client({
    maxAttempts,
    followRegionRedirects: true,
    forcePathStyle: endpoint !== null,
    // other stores than Amazon's refuse checksums at the end of a body
    ...(endpoint === null ? {} : { requestChecksumCalculation: 'WHEN_REQUIRED', responseChecksumValidation: 'WHEN_REQUIRED' }),
    requestHandler: { connectionTimeout: connectTimeoutMs, requestTimeout: answerTimeoutMs, throwOnRequestTimeout: true },
  })

  async function requireRegion(url: string): Promise<void> {
    try {
      await client.config.region()
    } catch (cause) {
      const profile = readVariable('AWS_PROFILE')
      const its = profile === null ? 'the profile' : `the profile "${profile}", which AWS_PROFILE names`
      throw new LockstepError(
        'STORAGE_DENIED',
        `"${url}" cannot be reached: no AWS region is set. Set AWS_REGION to the region of the bucket, or "region" in ${its}. Stores that have no regions take "us-east-1". (${messageOf(cause)})`,
        { cause, details: { url } },
      )
    }
  }

  async function call<T>(action: string, url: string, run: () => Promise<T>): Promise<T> {
    await requireRegion(url)
    try {
      return await run()
    } catch (cause) {
      throw failureOf(action, url, cause)
    }
  }

  async function head(url: string): Promise<StoredObject | null> {
    const place = objectOf(url)
    await requireRegion(url)
    try {
      const found = await client.send(new HeadObjectCommand(place))
      return { url, bytes: found.ContentLength ?? 0, etag: found.ETag ?? '', metadata: found.Metadata ?? {} }
    } catch (cause) {
      // a HEAD has no body, so that a missing bucket and a missing object look the same
      const status = statusOf(cause)
      if (status === 404) return null
      // nor does it say why it was refused, as a GET does
      if (status === 301 || status === 400 || status === 403) await get(url, { from: 0, to: 1 }, undefined)
      throw failureOf('read', url, cause)
    }
  }

  async function get(url: string, range: ByteRange | null, etag: string | undefined) {
    const Range = range === null ? undefined : `bytes=${range.from}-${range.to - 1}`
    return await call('read', url, async () => {
      const { Body } = await client.send(new GetObjectCommand({ ...objectOf(url), Range, IfMatch: etag }))
      if (Body === undefined) throw new Error('the answer has no body')
      return Body
    })
  }

  return {
    head,
    read: async (url, range, etag) => {
      const body = await get(url, range, etag)
      return await call('read', url, () => body.transformToByteArray())
    },
    async *stream(url, etag) {
      const body = (await get(url, null, etag)) as AsyncIterable<Uint8Array>
      try {
        yield* body
      } catch (cause) {
        throw cause instanceof LockstepError ? cause : failureOf('read', url, cause)
      }
    },
    write: async (url, options) =>
      createUploadWriter(head, url, options, partsAtOnce, (metadata) => partsUpload(client, call, url, options.overwrite, metadata)),
    async *list(prefix) {
      const { bucket, key } = bucketAndKey(prefix)
      let token: string | undefined
      do {
        const page = await call('listed', prefix, () =>
          client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: key, ContinuationToken: token })),
        )
        for (const { Key = '', Size = 0, ETag = '' } of page.Contents ?? [])
          yield { url: `s3://${bucket}/${Key}`, bytes: Size, etag: ETag, metadata: {} }
        token = page.NextContinuationToken
      } while (token !== undefined)
    },
    remove: async (url) => {
      await call('removed', url, () => client.send(new DeleteObjectCommand(objectOf(url))))
    },
    close: () => client.destroy(),
  }
}

/** An object up to the size of a part is put at once, a larger one in parts. */
function partsUpload(client: S3Client, call: RunCall, url: string, overwrite: boolean, metadata: Readonly<Record<string, string>>): Upload {
  const place = objectOf(url)
  const condition = overwrite ? {} : { IfNoneMatch: '*' }
  const parts: { readonly PartNumber: number; readonly ETag: string | undefined }[] = []
  let upload: string | null = null

  return {
    async send(Body, PartNumber) {
      await call('written', url, async () => {
        upload ??= (await client.send(new CreateMultipartUploadCommand({ ...place, Metadata: metadata }))).UploadId ?? ''
        const { ETag } = await client.send(new UploadPartCommand({ ...place, UploadId: upload, PartNumber, Body }))
        parts.push({ PartNumber, ETag })
      })
    },
    async complete(Body, { sha256 }) {
      await call('written', url, async () => {
        if (upload === null) {
          await client.send(new PutObjectCommand({ ...place, ...condition, Body, Metadata: { ...metadata, sha256 } }))
          return
        }
        const Parts = parts.toSorted((a, b) => a.PartNumber - b.PartNumber) satisfies readonly Partial<ObjectIdentifier>[]
        await client.send(new CompleteMultipartUploadCommand({ ...place, ...condition, UploadId: upload, MultipartUpload: { Parts } }))
      })
    },
    async cancel() {
      const UploadId = upload
      upload = null
      if (UploadId !== null) await client.send(new AbortMultipartUploadCommand({ ...place, UploadId })).catch(() => undefined)
    },
  }
}

function objectOf(url: string): { readonly Bucket: string; readonly Key: string } {
  const { bucket, key } = bucketAndKey(url)
  if (key !== '' && !key.endsWith('/')) return { Bucket: bucket, Key: key }
  throw new LockstepError('USAGE', `"${url}" names a folder; name an object, as "s3://bucket/rows.parquet".`, { details: { url } })
}

function statusOf(error: unknown): number | null {
  return error instanceof S3ServiceException ? (error.$metadata.httpStatusCode ?? null) : null
}

function failureOf(action: string, url: string, cause: unknown): LockstepError {
  if (cause instanceof LockstepError) return cause
  const status = statusOf(cause)
  if (!(cause instanceof S3ServiceException)) return storageError(action, url, withoutAnswer(cause), howToSignIn())
  if (status === 412) return fileChanged(url)
  if (cause.name === 'NoSuchKey' || cause.name === 'NotFound') return fileMissing(url)
  return storageError(action, url, { name: cause.name, httpStatus: status, message: cause.message, cause }, howToSignIn())
}
