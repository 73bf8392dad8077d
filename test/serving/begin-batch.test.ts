import type { AddressInfo } from 'node:net'
import { createServer } from 'node:http'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { loadCatalog } from '../../registry/catalog.ts'
import { createLogger } from '../../runtime/log.ts'
import { createBatchJobs } from '../../serving/batch/batch-job.ts'
import type { BatchRequest } from '../../serving/batch/batch-spec.ts'
import { beginBatch } from '../../serving/batch/begin-batch.ts'
import type { World } from './world.ts'
import { createWorld } from './world.ts'

const object = { name: 'spine.parquet', size: '1000', generation: '1' }
/** A Google Cloud Storage that reports its objects and never sends their bytes. It never answers for "silent". */
const storage = createServer(({ url = '' }, response) => {
  if (url.includes('/b/silent/') || url.includes('alt=media')) return
  response.setHeader('content-type', 'application/json').end(JSON.stringify(object))
})
let world: World

beforeAll(async () => {
  world = await createWorld('embedded')
  await world.push('echo', 'identity')
  await new Promise<void>((resolve) => storage.listen(0, '127.0.0.1', resolve))
  vi.stubEnv('STORAGE_EMULATOR_HOST', `http://127.0.0.1:${(storage.address() as AddressInfo).port}`)
})
afterAll(async () => {
  vi.unstubAllEnvs()
  storage.close()
  storage.closeAllConnections()
  await world?.close()
})

async function begin(bucket: string) {
  const request: BatchRequest = {
    model: 'echo',
    version: null,
    spine: { file: `gs://${bucket}/spine.parquet` },
    time: 'at',
    asOf: 'at',
    knownBefore: null,
    columns: null,
    out: `gs://${bucket}/out`,
    format: 'parquet',
    mode: 'replace',
    key: null,
    onlineMicros: null,
    rowsPerPart: 50,
    maxRefused: null,
    minRows: null,
    overwrite: false,
  }
  const catalog = await loadCatalog(world.db)
  const jobs = createBatchJobs({ db: world.db, catalog: () => Promise.resolve(catalog), log: createLogger('silent') })
  try {
    return await beginBatch({ db: world.db, catalog, kind: jobs.kind, worker: 'test', by: { actor: 'test' } }, bucket, request)
  } finally {
    await jobs.close()
  }
}

// both wait for the storage
it.concurrent('begins a batch although its storage does not send the columns of the spine in time', async () => {
  expect(await begin('slow')).toMatchObject({ joined: false, job: { state: 'running', spec: { etag: '1' } } })
})

it.concurrent('refuses a batch in time if its storage does not answer for the spine', async () => {
  await expect(begin('silent')).rejects.toMatchObject({
    code: 'STORAGE_UNAVAILABLE',
    message: expect.stringMatching(/"gs:\/\/silent\/spine\.parquet".*10 s/) as string,
  })
})
