import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { beforeAll, expect, it } from 'vitest'
import { encodeKey } from '../../kernel/values/entity-key.ts'
import { readHeader } from '../../kernel/states/stored-state.ts'
import { finishErasures } from '../../materializer/erase/finish-erasures.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { sourceSyncKind } from '../../materializer/sources/sync-source.ts'
import { createDatasetWriter } from '../../offline/files/dataset-writer.ts'
import { readStoredFiles } from '../../offline/source-files/stored-files.ts'
import { createRedisStore } from '../../online/redis-store.ts'
import type { OnlineStore } from '../../online/store.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { loadDefinitions } from '../../registry/load/load-definitions.ts'
import type { FaultPoint } from '../../runtime/fault-point.ts'
import { cancelJob } from '../../runtime/jobs/end-job.ts'
import { readJobs } from '../../runtime/jobs/read-jobs.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { programFile } from '../cli/run-lockstep.ts'
import { definitionFiles } from '../registry/definition-files.ts'
import { testDatabase, testRedis } from '../services/index.ts'
import { crashEvents, crashMoment, operate, operations } from './crash-operation.ts'

const hour = 3_600_000_000

const files = definitionFiles({
  'orders.ts': `
  import { count, entity, featureView, last, source, sum, t } from 'lockstep'
  const account = entity('account', { key: { account: t.string } })
  const world = entity('world', { key: {} })
  const orders = source('orders', { key: { account: 'account' }, eventTime: 'at', columns: { amount: t.float64, shop: t.int32 } })
  const features = { last: last('amount'), rows: count('2h'), total: sum('amount', '2h') }
  export const ofAccount = featureView('of_account', { version: 1, entity: account, source: orders, online: true, features })
  export const ofWorld = featureView('of_world', { version: 1, entity: world, source: orders, online: true, features })
  `,
})

const run = ['run: recorded', 'run: begun', 'states: to be written', 'states: written', 'run: folded', 'run: checkpoint moved'] as const
const matrix: Readonly<Record<(typeof operations)[number], readonly FaultPoint[]>> = {
  push: ['push: committed', 'push: rows read', 'states: to be written', 'states: written'],
  incremental: run,
  backfill: [
    'backfill: begun',
    'backfill: written down',
    'states: to be written',
    'states: written',
    'backfill: chunk made',
    'job: chunk written down',
    'backfill: checkpoint moved',
    'job: ended',
  ],
  rebuild: ['rebuild: begun', 'rebuild: removed', ...run],
  erase: ['erase: committed', 'states: to be written', 'states: written', 'erase: rebuilt', 'erase: waited', 'erase: removed'],
}

interface World {
  readonly url: string
  readonly redis: { readonly url: string; readonly prefix: string }
  readonly db: ReturnType<typeof openPostgres>
  readonly store: OnlineStore
  readonly catalog: Catalog
  end(): Promise<void>
}

let definitions: ReturnType<typeof loadDefinitions>
beforeAll(() => {
  definitions = loadDefinitions(`${files}/orders.ts`)
})

async function world(declared = definitions): Promise<World> {
  const database = await testDatabase()
  const redis = await testRedis()
  const db = openPostgres(database.url)
  const store = createRedisStore({ redis: new Redis(redis.url), prefix: redis.prefix })
  await applyChanges(db, await declared)
  const end = async (): Promise<void> => {
    await store.close()
    await db.close()
    await database.drop()
  }
  return { url: database.url, redis, db, store, catalog: await loadCatalog(db), end }
}

/** Runs the operation in a process of its own. @returns the signal that it ended by, or what it exited with */
function elsewhere({ url, redis }: World, ...words: readonly string[]): Promise<string> {
  const program = programFile('test/materializer/crash-process')
  return new Promise((resolve) => {
    execFile(process.execPath, [program, url, redis.url, redis.prefix, ...words], (error, _, stderr) =>
      resolve(error === null ? 'done' : (error.signal ?? stderr)),
    )
  })
}

async function bodies(store: OnlineStore, { views }: Catalog): Promise<unknown[]> {
  const found = []
  for (const plan of views.values()) {
    const keys = plan.key.length === 0 ? [''] : ['a', 'b', 'c', 'd'].map((account) => encodeKey(plan.key, [account]))
    const stored = await store.read(keys.map((key) => ({ view: plan.id, entity: plan.spec.entity.name, key })))
    found.push(...stored.map((bytes) => bytes && bytes.toString('hex', readHeader(bytes, plan.id).bodyAt)))
  }
  return found
}

async function insert({ db }: World, name: string): Promise<void> {
  const rows = crashEvents(name).map(
    ({ account, shop, at, amount }) => `('${String(account)}', ${String(shop)}, '${String(at)}', ${String(amount)})`,
  )
  await db.query(`insert into lockstep_source.orders (account, shop, at, amount) values ${rows.join(', ')}`)
}

/** Kills the operation at the point, does it again, and holds the table and the states against what they must be. */
async function survives(operation: (typeof operations)[number], point: FaultPoint): Promise<void> {
  const here = await world()
  const { db, store, catalog } = here
  const plans = [...catalog.views.values()]
  try {
    await insert(here, 'before')
    for (const plan of plans) await materializeView(db, store, plan, { moment: crashMoment })
    if (operation !== 'push') await insert(here, 'more')
    expect([operation, point, await elsewhere(here, operation, point)]).toEqual([operation, point, 'SIGKILL'])
    // A client that got no answer sends its events again; a run is begun again; what an erasure noted is done by
    // the next process.
    if (operation === 'erase') {
      for (const plan of plans) await materializeView(db, store, plan, { moment: crashMoment })
      expect(await finishErasures(db, store, catalog, { waitMs: 60_000, moment: crashMoment })).toBe(0)
    } else await operate(operation, db, store, catalog)
    for (const plan of plans) await materializeView(db, store, plan, { moment: crashMoment })
    const [row] = await db.query<{ n: number }>('select count(*)::int as n from lockstep_source.orders')
    expect([operation, point, row?.n]).toEqual([operation, point, operation === 'erase' ? 60 : 80])
    const { url, prefix } = await testRedis()
    const fresh = createRedisStore({ redis: new Redis(url), prefix })
    for (const plan of plans) await materializeView(db, fresh, plan, { moment: crashMoment })
    const [held, expected] = [await bodies(store, catalog), await bodies(fresh, catalog)]
    await fresh.close()
    expect([operation, point, held]).toEqual([operation, point, expected])
  } finally {
    await here.end()
  }
}

it.each(operations)(
  'loses and duplicates nothing if a process is killed between any steps of %s',
  { timeout: 600_000 },
  async (operation) => {
    const points = matrix[operation]
    for (let i = 0; i < points.length; i += 4) await Promise.all(points.slice(i, i + 4).map((point) => survives(operation, point)))
  },
)

it('loads and replaces each Parquet file once if the process is killed after a file', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-crash-lake-'))
  const lake = definitionFiles({
    'lake.ts': `
  import { count, entity, featureView, parquetFiles, source, t } from 'lockstep'
  const account = entity('account', { key: { account: t.string } })
  const lake = source('lake', { key: { account: 'account' }, eventTime: 'at', columns: {}, files: parquetFiles('${folder}/') })
  export const ofAccount = featureView('of_account', { version: 1, entity: account, source: lake, features: { rows: count('lifetime') } })
  `,
  })
  const write = async (name: string, accounts: readonly string[]): Promise<void> => {
    const columns = [
      { name: 'account', type: { kind: 'string' } },
      { name: 'at', type: { kind: 'timestamp' } },
    ] as const
    const writer = await createDatasetWriter(join(folder, `${name}.parquet`), columns, { format: 'parquet', overwrite: true })
    await writer.write([accounts, accounts.map((_, i) => crashMoment - hour * i)])
    await writer.close()
  }
  for (const name of ['1', '2', '3']) await write(name, ['a', 'b'])
  const here = await world(loadDefinitions(`${lake}/lake.ts`))
  try {
    expect(await elsewhere(here, 'sync', 'source file: loaded')).toBe('SIGKILL')
    const count = async (): Promise<unknown> => (await here.db.query('select count(*)::int4 as n from lockstep_source.lake'))[0]
    expect(await count()).toEqual({ n: 2 })
    await operate('sync', here.db, here.store, here.catalog)
    expect(await count()).toEqual({ n: 6 })
    expect((await readStoredFiles(here.db, 'lake')).map(({ rows }) => rows)).toEqual([2, 2, 2])

    const plan = here.catalog.view('of_account')
    const moment = Date.now() * 1000
    const states = async (rebuild: boolean): Promise<readonly (string | null)[]> => {
      await materializeView(here.db, here.store, plan, { moment, rebuild })
      const keys = ['a', 'b', 'c'].map((account) => ({ view: plan.id, entity: 'account', key: encodeKey(plan.key, [account]) }))
      return (await here.store.read(keys)).map((bytes) => bytes && bytes.toString('hex', readHeader(bytes, plan.id).bodyAt))
    }
    const before = await states(false)
    await write('2', ['b', 'c', 'c'])
    expect(await elsewhere(here, 'replace', 'source file: loaded')).toBe('SIGKILL')
    expect(await count()).toEqual({ n: 7 })
    await operate('replace', here.db, here.store, here.catalog)
    expect(await count()).toEqual({ n: 7 })
    const after = await states(false)
    expect(after).not.toEqual(before)
    expect(await states(true)).toEqual(after)

    // the job does not go on, so the next sync rebuilds the states
    await write('2', ['a'])
    expect(await elsewhere(here, 'replace', 'source file: loaded')).toBe('SIGKILL')
    const [job] = await readJobs(here.db, { kind: sourceSyncKind, limit: 1 })
    expect(await cancelJob(here.db, job?.id ?? 0, { actor: 'crash' })).toBe(true)
    expect(await count()).toEqual({ n: 5 })
    await operate('sync', here.db, here.store, here.catalog)
    const repaired = await states(false)
    expect(repaired).not.toEqual(after)
    expect(await states(true)).toEqual(repaired)
    expect(
      await here.db.query('select count(*)::int4 as n from lockstep.ingests where undoing_at is not null and undone_at is null'),
    ).toEqual([{ n: 0 }])
  } finally {
    await here.end()
    await rm(folder, { recursive: true })
  }
})
