import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { outputFields } from '../../registry/define/batch-output-fields.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { awaitJob } from '../../runtime/jobs/await-job.ts'
import type { Job } from '../../runtime/jobs/read-jobs.ts'
import { readJob } from '../../runtime/jobs/read-jobs.ts'
import { createLogger } from '../../runtime/log.ts'
import type { ObjectStore } from '../../runtime/storage/object-store.ts'
import { openObjectStore } from '../../runtime/storage/open-store.ts'
import type { BatchJobs } from '../../serving/batch/batch-job.ts'
import { createBatchJobs } from '../../serving/batch/batch-job.ts'
import type { BatchManifest } from '../../serving/batch/batch-spec.ts'
import { beginBatch } from '../../serving/batch/begin-batch.ts'
import type { Running } from '../cli/run-lockstep.ts'
import { killAll, start } from '../cli/run-lockstep.ts'
import { seeded } from '../parity/fire/fire-events.ts'
import type { OwnS3 } from '../services/buckets.ts'
import { environmentMs, ownS3 } from '../services/buckets.ts'
import type { Gate } from './gate.ts'
import { gated } from './gate.ts'
import type { World } from './world.ts'
import { createWorld } from './world.ts'

// Batches whose workers are killed, while PostgreSQL and the S3 go away. `npm run kill-batches` has 3,000,000 rows, 30
// kills by SIGKILL and 10 by SIGTERM.

const rows = Number(process.env['LOCKSTEP_TEST_BATCH_ROWS'] ?? 24_000)
const kills = Number(process.env['LOCKSTEP_TEST_BATCH_KILLS'] ?? 2)
const random = seeded(Number(process.env['LOCKSTEP_TEST_CHAOS_SEED'] ?? 7))
const partsOfEach = Math.max(12, kills * 2)
const signal = new AbortController().signal

let world: World
let s3: OwnS3
let store: ObjectStore
let jobs: BatchJobs
let folder: string
let gates: { readonly postgres: Gate; readonly storage: Gate }

beforeAll(async () => {
  ;[world, s3, folder] = await Promise.all([createWorld('embedded'), ownS3('killed'), mkdtemp(join(tmpdir(), 'lockstep-killed-'))])
  gates = { postgres: await gated(world.postgresUrl), storage: await gated(s3.settings.AWS_ENDPOINT_URL_S3) }
  store = await openObjectStore('s3://killed/')
  await world.db.script(`
    insert into lockstep_source.landings (airport, at, delay)
    select 'A' || n % 499, timestamptz '2001-07-01' + n * interval '3 seconds', n % 40 from generate_series(1, ${Math.ceil(rows / 10)}) n;
    create table spine as
    select n as id, 'A' || n % 503 as airport, timestamptz '2001-07-01' + n * interval '0.3 seconds' as at, 1.0 + n % 5 as distance from generate_series(1, ${rows}) n;
    analyze spine`)
  await world.push('delay', 'logistic')
  jobs = createBatchJobs({ db: world.db, catalog: () => loadCatalog(world.db), log: createLogger('silent') })
}, environmentMs)

afterAll(async () => {
  killAll()
  await jobs?.close()
  await gates?.postgres.shut()
  await gates?.storage.shut()
  await world?.close()
  s3?.stop()
  if (folder !== undefined) await rm(folder, { recursive: true, force: true })
})

async function begin(out: string): Promise<Job> {
  const beginner = { db: world.db, catalog: await loadCatalog(world.db), kind: jobs.kind, worker: 'test', by: { actor: 'test' } }
  const { job } = await beginBatch(beginner, out, {
    model: 'delay',
    version: null,
    spine: { sql: 'select id, airport, at, distance from spine order by id' },
    time: 'at',
    asOf: 'at',
    knownBefore: null,
    columns: null,
    onlineMicros: null,
    rowsPerPart: Math.ceil(rows / partsOfEach),
    maxRefused: null,
    minRows: null,
    overwrite: false,
    ...outputFields({ out }),
  })
  return job
}

async function namesIn(out: string): Promise<string[]> {
  const names: string[] = []
  for await (const { url } of store.list(`${out}/`)) names.push(url.slice(out.length + 1))
  return names
}

async function partsOf(out: string): Promise<unknown> {
  const found = await store.head(`${out}/_manifest.json`)
  const text = Buffer.from(await store.read(`${out}/_manifest.json`, { from: 0, to: found?.bytes ?? 0 })).toString()
  return (JSON.parse(text) as BatchManifest).parts.map(({ name, rows: count, sha256 }) => [name, count, sha256])
}

/** Equal for equal rows, whatever their order. */
async function contentOf(table: string): Promise<unknown> {
  const hash = `sum(hashtextextended((to_jsonb(t) - '_batch')::text, 0)::numeric)::text as hash`
  return (await world.db.query(`select count(*)::int4 as rows, count(distinct _ordinal)::int4 as ordinals, ${hash} from ${table} t`))[0]
}

it('write the same rows once, whatever is killed or goes away meanwhile', { timeout: 300_000 + kills * 60_000 }, async () => {
  const work = { kinds: [jobs.kind], worker: 'test' }
  for (const out of ['s3://killed/calm', 'postgres:calm'])
    expect(await awaitJob(world.db, (await begin(out)).id, { signal, work })).toMatchObject({ state: 'done', error: null })

  const env = {
    ...s3.settings,
    AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${gates.storage.port}`,
    LOCKSTEP_POSTGRES_URL: gates.postgres.through(world.postgresUrl),
    LOCKSTEP_DIR: join(folder, 'unused'),
  }
  const hire = async (): Promise<Running> => {
    const worker = start(env, 'worker', '--only', 'batches')
    await worker.until(/waits for/)
    return worker
  }
  const batches: Job[] = []
  let pairs = 0
  const beginPair = async (): Promise<void> => {
    for (const out of ['s3://killed/rough', 'postgres:rough']) batches.push(await begin(out + pairs))
    pairs++
  }
  await beginPair()
  const states = () => Promise.all(batches.map(({ id }) => readJob(world.db, id)))
  const done = async (): Promise<number> => (await states()).reduce((sum, { chunksDone }) => sum + chunksDone, 0)
  const runs = async (): Promise<boolean> => (await states()).some(({ state }) => state === 'running')
  const workers = await Promise.all([hire(), hire()])
  const kill = (how: 'SIGKILL' | 'SIGTERM') => async () => {
    const place = random() < 0.5 ? 0 : 1
    const worker = workers[place]
    worker.child.kill(how)
    const { code } = await worker.ended
    if (how === 'SIGTERM') expect(code).toBe(0)
    // without this, others wait 30 s for its lease; a part that another worker has is then done twice
    await world.db.query(`update lockstep.job_chunks set claimable_at = clock_timestamp() where state = 'open' and claim is not null`)
    workers[place] = await hire()
  }
  const leave = (gate: Gate) => async () => {
    await gate.shut()
    await setTimeout(random() * 2000)
    await gate.open()
  }
  const strikes = [
    ...Array.from({ length: kills }, () => kill('SIGKILL')),
    ...Array.from({ length: Math.ceil(kills / 3) }, () => kill('SIGTERM')),
    leave(gates.postgres),
    leave(gates.storage),
  ]
  for (const strike of strikes.map((each) => ({ each, at: random() })).toSorted((a, b) => a.at - b.at)) {
    const before = await done()
    await expect.poll(async () => (await done()) > before || !(await runs()), { timeout: 120_000, interval: 50 }).toBe(true)
    // on a machine that holds this process up, they may end before all strikes
    if (!(await runs())) await beginPair()
    await setTimeout(random() * 300)
    await strike.each()
  }
  for (const { id } of batches) expect(await awaitJob(world.db, id, { signal })).toMatchObject({ state: 'done', error: null })
  for (const worker of workers) worker.child.kill('SIGTERM')
  for (const worker of workers) expect((await worker.ended).code).toBe(0)

  for (let pair = 0; pair < pairs; pair++) {
    expect(await partsOf(`s3://killed/rough${pair}`)).toEqual(await partsOf('s3://killed/calm'))
    expect(await namesIn(`s3://killed/rough${pair}`)).toEqual(await namesIn('s3://killed/calm'))
    expect(await contentOf(`rough${pair}`)).toEqual(await contentOf('calm'))
    expect(await contentOf(`rough${pair}`)).toMatchObject({ rows, ordinals: rows })
  }
  const client = new S3Client({ forcePathStyle: true })
  expect((await client.send(new ListMultipartUploadsCommand({ Bucket: 'killed' }))).Uploads ?? []).toEqual([])
  client.destroy()
  expect(await world.db.query(`select relname from pg_class where relname ~ '^(batch|spine)_[a-z0-9]' and relkind = 'r'`)).toEqual([])
})
