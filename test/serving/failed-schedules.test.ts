import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { activeMonitors } from '../../monitoring/alerts/default-monitors.ts'
import { evaluateMonitor } from '../../monitoring/alerts/evaluate-monitor.ts'
import { failuresIn, readFailedJobs } from '../../monitoring/problems/find-problems.ts'
import type { OnlineStore } from '../../online/store.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { scheduledBatchSpec } from '../../registry/scheduled-batch-spec.ts'
import { retryJob } from '../../runtime/jobs/end-job.ts'
import { readJobs, readSteps } from '../../runtime/jobs/read-jobs.ts'
import { workOnJobs } from '../../runtime/jobs/work-on-jobs.ts'
import { createLogger } from '../../runtime/log.ts'
import type { BatchJobs } from '../../serving/batch/batch-job.ts'
import { createBatchJobs } from '../../serving/batch/batch-job.ts'
import { batchKind, batchSpec } from '../../serving/batch/batch-spec.ts'
import { beginBatch } from '../../serving/batch/begin-batch.ts'
import { scheduledBatches } from '../../serving/batch/scheduled-batches.ts'
import { hash, servingSet } from './definitions.ts'
import type { World } from './world.ts'
import { createWorld } from './world.ts'

// Batches of a schedule that fail.

let world: World
let jobs: BatchJobs
/** Lines of the workers' log. */
const logged: object[] = []
const wait = { timeout: 60_000 }

beforeAll(async () => {
  world = await createWorld('embedded')
  await world.push('delay', 'logistic')
  jobs = createBatchJobs({ db: world.db, catalog: () => loadCatalog(world.db), log: createLogger('silent') })
  const nightly = scheduledBatchSpec.parse({
    name: 'nightly',
    schedule: '0 2 * * *',
    model: 'delay',
    version: null,
    spine: { sql: 'select airport, at, distance from spine' },
    time: 'at',
    asOf: 'at',
    columns: null,
    id: 'nightly/{date}',
    out: 'postgres:scores',
    format: 'table',
    mode: 'append',
    rowsPerPart: 20,
    maxRefused: null,
    overwrite: false,
  })
  // its version does not exist, so that no batch begins
  const weekly = { ...nightly, name: 'weekly', schedule: '0 2 * * 0', id: 'weekly/{date}', version: 99 }
  const batches = [nightly, weekly].map((spec) => ({ spec, operational: {}, fingerprint: hash(spec.name) }))
  await applyChanges(world.db, { ...servingSet, batches })
})

afterAll(async () => {
  await jobs?.close()
  await world?.close()
})

const newest = async () => (await readJobs(world.db, { kind: batchKind })).toSorted((a, b) => b.id - a.id)[0]

/** Lets a worker do what a day of July asks for, until the newest nightly batch has that state. */
async function work(day: number, state: string, retried?: number): Promise<number> {
  const id = `nightly/2001-07-${String(day - 1).padStart(2, '0')}`
  await workUntil(day, state, async () => {
    const job = await newest()
    if (job?.subject !== id || (retried ?? job.id) !== job.id) return null
    // one that has failed cannot be retried until a worker has cleaned up after it
    return (await readSteps(world.db, job.id)).some((step) => step.state === 'open') ? 'open' : job.state
  })
  return (await newest())?.id ?? 0
}

async function workUntil(day: number, state: string, reached: () => Promise<string | null>): Promise<void> {
  const catalog = await loadCatalog(world.db)
  const log = createLogger('info', { write: (line) => void logged.push(JSON.parse(line) as object) })
  const starts = scheduledBatches({ db: world.db, catalog: () => Promise.resolve(catalog), log }, jobs.kind)
  const stop = new AbortController()
  const clock = () => Date.UTC(2001, 6, day, 3) * 1000
  const working = workOnJobs(world.db, { kinds: [starts, jobs.kind], worker: 'test', signal: stop.signal, clock })
  await expect.poll(reached, wait).toBe(state)
  stop.abort()
  await working
}

/** The failed jobs of a schedule, as `status` lists them. */
async function failures(name: string): Promise<number[]> {
  const found = failuresIn(await readFailedJobs(world.db, Date.now() * 1000))
  return found.find(({ schedule }) => schedule === name)?.jobs.map(({ id }) => id) ?? []
}

async function outcomes(subject: string, change: Partial<Catalog> = {}, store: OnlineStore | null = null) {
  const catalog = { ...(await loadCatalog(world.db)), ...change }
  const monitor = activeMonitors(catalog, true).monitors.find(({ name }) => name === 'system:jobs')
  if (monitor === undefined) throw new Error('There is no such monitor.')
  const now = Date.now() * 1000
  const deps = { db: world.db, store, catalog, clock: () => now, signal: new AbortController().signal }
  const checked = await evaluateMonitor(deps, monitor, now, new Map())
  return checked.flatMap(({ kind, results }) => (kind === 'jobs' ? (results ?? []) : [])).filter((result) => result.subject === subject)
}

describe('the schedule of a batch', () => {
  it('breaches until a later batch is done, or the failed one is retried', async () => {
    expect(await outcomes('scheduled-batch nightly')).toEqual([])
    const failed = await work(2, 'failed')
    expect(await outcomes('scheduled-batch nightly')).toMatchObject([
      {
        subject: 'scheduled-batch nightly',
        state: 'breach',
        evidence: { failed: [{ job: failed, kind: 'batch', subject: 'nightly/2001-07-01' }] },
        cause: expect.stringMatching(
          `^The batch ${failed} of "nightly/2001-07-01" failed: .*spine.* "lockstep job show ${failed}" shows it\\. .*"lockstep job retry ${failed}"\\.$`,
        ) as string,
      },
    ])
    expect(await outcomes('scheduled-batch nightly', { batches: new Map() })).toEqual([])
    await world.db.script('create table spine (airport text, at timestamptz, distance float8)')
    await retryJob(world.db, failed, { actor: 'test' })
    await work(2, 'done', failed)
    expect(await outcomes('scheduled-batch nightly')).toMatchObject([{ subject: 'scheduled-batch nightly', state: 'ok' }])
    await world.db.script('drop table spine')
    const other = await work(3, 'failed')
    expect(await failures('scheduled-batch nightly')).toEqual([other])
    expect(await outcomes('scheduled-batch nightly')).toMatchObject([{ state: 'breach' }])
    await world.db.script('create table spine (airport text, at timestamptz, distance float8)')
    // a run by hand under the same id counts, although no schedule began it
    const { request } = batchSpec.parse((await newest())?.spec)
    const byHand = { db: world.db, catalog: await loadCatalog(world.db), kind: jobs.kind, worker: 'test', by: { actor: 'test' } }
    const { job } = await beginBatch(byHand, 'nightly/2001-07-02', request)
    await work(3, 'done', job.id)
    expect(await failures('scheduled-batch nightly')).toEqual([])
    expect(await outcomes('scheduled-batch nightly')).toMatchObject([{ state: 'ok' }])
    await work(4, 'done')
    expect(await outcomes('scheduled-batch nightly')).toMatchObject([{ state: 'ok' }])
  })

  it('logs the instants that no worker was there for, once', async () => {
    expect(logged).toEqual([])
    await work(8, 'done')
    const skipped = { batch: 'nightly', count: 3, first: '2001-07-05T02:00:00Z', last: '2001-07-07T02:00:00Z' }
    expect(logged).toMatchObject([{ level: 'warn', msg: 'instants of a schedule were skipped', ...skipped }])
  })

  it('breaches if no batch could begin', async () => {
    const ofWeekly = async () => await readJobs(world.db, { kind: 'scheduled-batch', subject: 'weekly' })
    const sunday = Date.UTC(2001, 6, 8, 2) * 1000
    await workUntil(8, 'failed', async () => (await ofWeekly()).find(({ moment }) => moment === sunday)?.state ?? null)
    const [start] = await ofWeekly()
    expect(await outcomes('scheduled-batch weekly')).toMatchObject([
      { state: 'breach', cause: expect.stringMatching(`^The scheduled-batch ${start?.id} of "weekly" failed: .*99`) as string },
    ])
  })
})

async function addJob(kind: string, key: string, scope: string, moment: number, state: string): Promise<void> {
  await world.db.query(
    `insert into lockstep.jobs (kind, subject, scope, key, moment, spec, state, plans, finishes, cleans, lease_seconds, keep_days, submitted_by, finished_at)
     values ($1, $2, $3, $2, $4, '{}', $5, true, true, false, 30, 7, 'test', now())`,
    [kind, key, scope, moment, state],
  )
}

it('a schedule of syncs is judged by the jobs for its own online store', async () => {
  const files: Catalog['files'] = new Map([['landings', { patterns: ['*.parquet'], fromMicros: null, schedule: '0 * * * *' }]])
  await addJob('source-sync', 'landings', await world.store.identity(), 1, 'done')
  await addJob('source-sync', 'landings', 'a store that was replaced', 2, 'failed')
  expect(await outcomes('source-sync landings', { files }, world.store)).toMatchObject([{ state: 'ok' }])
  expect(await outcomes('source-sync landings', { files })).toMatchObject([{ state: 'breach' }])
})

it('a merge of the model statistics that failed breaches, until a later one is done', async () => {
  await addJob('merge-rollups', 'rollups', '', 1, 'failed')
  expect(await outcomes('merge-rollups rollups')).toMatchObject([{ state: 'breach' }])
  expect(await failures('merge-rollups rollups')).toHaveLength(1)
  await addJob('merge-rollups', 'rollups', '', 2, 'done')
  expect(await outcomes('merge-rollups rollups')).toMatchObject([{ state: 'ok' }])
  expect(await failures('merge-rollups rollups')).toEqual([])
})
