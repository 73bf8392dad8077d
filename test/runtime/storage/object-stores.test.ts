import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import type { Server } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { AbortMultipartUploadCommand, CreateBucketCommand, ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createFolderStore } from '../../../runtime/storage/folder-store.ts'
import { createGcsStore } from '../../../runtime/storage/gcs-store.ts'
import { isObjectUrl } from '../../../runtime/storage/object-store.ts'
import type { ObjectStore } from '../../../runtime/storage/object-store.ts'
import { openObjectStore } from '../../../runtime/storage/open-store.ts'
import { createS3Store } from '../../../runtime/storage/s3-store.ts'
import type { Service } from '../../services/keeper.ts'
import { environmentMs } from '../../services/buckets.ts'
import { startGcs, startS3 } from '../../services/object-storage.ts'
import { objectStoreContract } from './object-store-contract.ts'

let s3: Service
let gcs: Service
let folder: string
const before = { ...process.env }

beforeAll(async () => {
  ;[s3, gcs, folder] = await Promise.all([startS3(), startGcs(), mkdtemp(join(tmpdir(), 'lockstep-store-'))])
  Object.assign(process.env, {
    AWS_ENDPOINT_URL_S3: s3.url,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_REGION: 'us-east-1',
    STORAGE_EMULATOR_HOST: gcs.url,
  })
  await admin((client) => client.send(new CreateBucketCommand({ Bucket: 'rows' })))
  await fetch(`${gcs.url}/storage/v1/b`, { method: 'POST', body: JSON.stringify({ name: 'rows' }) })
}, environmentMs)

afterAll(async () => {
  // the object itself stays: later files of this process use it, and only it sets the variables of the process
  for (const name of Object.keys(process.env)) if (!Object.hasOwn(before, name)) delete process.env[name]
  Object.assign(process.env, before)
  await s3?.stop()
  await gcs?.stop()
  await rm(folder, { recursive: true, force: true })
})

async function admin<T>(run: (client: S3Client) => Promise<T>): Promise<T> {
  const client = new S3Client({ forcePathStyle: true })
  try {
    return await run(client)
  } finally {
    client.destroy()
  }
}

function kept(open: () => ObjectStore): () => ObjectStore {
  let store: ObjectStore | undefined
  return () => (store ??= open())
}

describe('a folder', () => {
  objectStoreContract(createFolderStore, () => `${pathToFileURL(folder).href}/`)

  it('keeps no other file than what was written', async () => {
    const names = await readdir(folder, { recursive: true })
    expect(names.filter((name) => name.includes('.partial'))).toEqual([])
  })
})

describe('S3', () => {
  const store = kept(createS3Store)
  objectStoreContract(store, () => 's3://rows/contract/')

  it('leaves no unfinished upload', async () => {
    const { Uploads = [] } = await admin((client) => client.send(new ListMultipartUploadsCommand({ Bucket: 'rows' })))
    expect(Uploads).toEqual([])
  })

  it('names a missing bucket', async () => {
    const writer = await store().write('s3://absent/x', { overwrite: false })
    await writer.seal()
    await expect(writer.commit()).rejects.toMatchObject({
      code: 'FILE_UNREADABLE',
      message: expect.stringContaining('"s3://absent"') as string,
    })
    await expect(store().list('s3://absent/x')[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'FILE_UNREADABLE' })
  })

  it('fails when its upload is removed meanwhile', async () => {
    const url = 's3://rows/removed.bin'
    const writer = await store().write(url, { overwrite: false })
    await writer.write(Buffer.alloc(9 * 2 ** 20))
    await writer.seal()
    await admin(async (client) => {
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: 'rows' }))
      for (const { Key, UploadId } of Uploads) await client.send(new AbortMultipartUploadCommand({ Bucket: 'rows', Key, UploadId }))
    })
    await expect(writer.commit()).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE', message: expect.stringContaining(url) as string })
    expect(await store().head(url)).toBeNull()
  })

  it('names missing credentials, and a store that does not answer', async () => {
    const { AWS_ACCESS_KEY_ID: id, AWS_ENDPOINT_URL_S3: endpoint } = process.env
    delete process.env['AWS_ACCESS_KEY_ID']
    process.env['AWS_EC2_METADATA_DISABLED'] = 'true'
    await expect(createS3Store().head('s3://rows/x')).rejects.toMatchObject({ code: 'STORAGE_DENIED' })
    const { AWS_REGION: region } = process.env
    delete process.env['AWS_REGION']
    process.env['AWS_CONFIG_FILE'] = '/none'
    const noRegion = { code: 'STORAGE_DENIED', message: expect.stringContaining('no AWS region is set. Set AWS_REGION') as string }
    await expect(createS3Store().head('s3://rows/x')).rejects.toMatchObject(noRegion)
    await expect(createS3Store().read('s3://rows/x', { from: 0, to: 1 })).rejects.toMatchObject(noRegion)
    process.env['AWS_PROFILE'] = 'nope'
    const named = (text: string) => ({ code: 'STORAGE_DENIED', message: expect.stringContaining(text) as string })
    await expect(createS3Store().head('s3://rows/x')).rejects.toMatchObject(
      named('"region" in the profile "nope", which AWS_PROFILE names.'),
    )
    process.env['AWS_REGION'] = region
    await expect(createS3Store().head('s3://rows/x')).rejects.toMatchObject(
      named('Check that the profile "nope", which AWS_PROFILE names, is in ~/.aws/config'),
    )
    delete process.env['AWS_PROFILE']
    delete process.env['AWS_CONFIG_FILE']
    process.env['AWS_ACCESS_KEY_ID'] = id
    for (const address of ['127.0.0.1:9000', 'localhost:9000']) {
      process.env['AWS_ENDPOINT_URL_S3'] = address
      expect(() => createS3Store()).toThrow(`The endpoint of S3 is "${address}", which is not a URL.`)
    }
    process.env['AWS_ENDPOINT_URL_S3'] = 'http://127.0.0.1:1'
    process.env['AWS_MAX_ATTEMPTS'] = '1'
    await expect(createS3Store().head('s3://rows/x')).rejects.toMatchObject({
      code: 'STORAGE_UNAVAILABLE',
      message: expect.stringContaining('ECONNREFUSED') as string,
    })
    process.env['AWS_ENDPOINT_URL_S3'] = endpoint
  })
})

describe('an S3 that refuses', () => {
  // moto neither expires credentials nor minds regions, so this server answers as S3 documents it
  const refusals = {
    ExpiredToken: [400, 'The provided token has expired', 'Check the credentials'],
    InvalidAccessKeyId: [403, 'The AWS Access Key Id you provided does not exist in our records', 'Check the credentials'],
    SignatureDoesNotMatch: [403, 'The request signature we calculated does not match', 'Check the credentials'],
    AccessDenied: [403, 'Access Denied', 'they may use this bucket'],
    PermanentRedirect: [301, 'The bucket you are attempting to access must be addressed using the specified endpoint', 'Set AWS_REGION'],
    AuthorizationHeaderMalformed: [400, "the region 'us-east-1' is wrong; expecting 'eu-west-1'", 'Set AWS_REGION'],
  } as const
  let server: Server
  let refusal: keyof typeof refusals = 'AccessDenied'

  beforeAll(async () => {
    server = createServer((request, response) => {
      const [status, message] = refusals[refusal]
      response.writeHead(status, { 'content-type': 'application/xml' })
      response.end(request.method === 'HEAD' ? '' : `<Error><Code>${refusal}</Code><Message>${message}</Message></Error>`)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    process.env['AWS_ENDPOINT_URL_S3'] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterAll(() => {
    process.env['AWS_ENDPOINT_URL_S3'] = s3?.url
    server?.close()
  })

  it.each(Object.entries(refusals))('says so, and what to do: %s', async (name, [, message, advice]) => {
    refusal = name as keyof typeof refusals
    const store = createS3Store()
    const denied = { code: 'STORAGE_DENIED', message: expect.stringMatching(new RegExp(`"s3://rows/x".*${message}.*${advice}`)) as string }
    await expect(store.head('s3://rows/x')).rejects.toMatchObject(denied)
    await expect(store.read('s3://rows/x', { from: 0, to: 1 })).rejects.toMatchObject(denied)
    const writer = await store.write('s3://rows/x', { overwrite: false })
    await writer.seal()
    await expect(writer.commit()).rejects.toMatchObject(denied)
    store.close()
  })
})

describe('Google Cloud Storage', () => {
  const store = kept(createGcsStore)
  objectStoreContract(store, () => 'gs://rows/contract/')

  it('names a missing bucket', async () => {
    await expect(store().list('gs://absent/x')[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'FILE_UNREADABLE' })
  })
})

describe('a URL', () => {
  it('names its store', async () => {
    expect(['s3://b/k', 'gs://b/k', 'file:///k', '/tmp/x', 'x.csv', 'http://x'].filter(isObjectUrl)).toEqual([
      's3://b/k',
      'gs://b/k',
      'file:///k',
    ])
    expect(await openObjectStore('s3://a/b')).toBe(await openObjectStore('s3://c/d'))
    await expect(openObjectStore('ftp://a/b')).rejects.toMatchObject({ code: 'USAGE' })
    await expect((await openObjectStore('s3://a/b')).head('s3://rows/folder/')).rejects.toMatchObject({ code: 'USAGE' })
  })
})
