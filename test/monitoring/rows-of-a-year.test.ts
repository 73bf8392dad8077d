import { Registry } from 'prom-client'
import { beforeAll, expect, it } from 'vitest'
import { readAlerts } from '../../monitoring/alerts/read-alerts.ts'
import { rollupPartitions } from '../../monitoring/day-partitions.ts'
import { readVersionGroups } from '../../monitoring/rollups/read-rollups.ts'
import { TrafficSummary } from '../../monitoring/rollups/traffic-summary.ts'
import { planChanges, planOn } from '../../registry/changes/plan.ts'
import { definitionsAt } from '../../registry/definition-states.ts'
import { readInventory } from '../../registry/find/inventory.ts'
import { aliasAt } from '../../registry/find/past-inventory.ts'
import { currentDefinitions } from '../../registry/definition.ts'
import { readAudit } from '../../runtime/audit.ts'
import { readJobs } from '../../runtime/jobs/read-jobs.ts'
import { forgetJobs } from '../../runtime/jobs/forget-jobs.ts'
import { registerJobGauges } from '../../runtime/jobs/job-gauges.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { during, openServer } from '../opened-database.ts'
import { rowsTaken } from '../rows-taken.ts'
import { landings, sampleSet } from '../registry/sample-set.ts'

// How many rows and index entries a read takes, in a database that has much history.

const opened = during(() => openServer())
/** Epoch microseconds: midnight of a day long ago, so that its hours are over. */
const day = Date.UTC(2026, 0, 5) * 1000
const models = Array.from({ length: 40 }, (_, i) => `model_${i}`)
const traffic = Buffer.from(new TrafficSummary().encode()).toString('hex')

const history = `
  insert into lockstep.definitions (kind, name, version, fingerprint, spec, operational, retired_at)
    select 'source', 'old_' || i, 0, 'f', '{}', '{}', now() from generate_series(1, 5000) i;
  insert into lockstep.definitions (kind, name, version, fingerprint, spec, operational)
    select 'entity', 'new_' || i, 0, 'f', json_build_object('name', 'new_' || i, 'key', '[]'::json), '{}' from generate_series(1, 20) i;
  insert into lockstep.jobs (kind, subject, scope, spec, state, plans, finishes, cleans, lease_seconds, keep_days, submitted_by, finished_at)
    select 'kind_' || i % 4, 'subject_' || i % 20, '', '{}', case when i <= 3 then 'running' else 'done' end, false, false, false, 30, 90, 'ann',
      case when i > 3 then now() end
    from generate_series(1, 20000) i;
  insert into lockstep.alerts (monitor, check_kind, subject, severity, state, started, resolved, resolution, notified, about, started_with, result)
    select 'monitor_' || i % 40, 'drift', 's' || i, 'ticket', case when i <= 5 then 'firing' else 'resolved' end, i,
      case when i > 5 then i end, case when i > 5 then 'cleared' end, false, '{}', '{}', '{}'
    from generate_series(1, 10000) i;
  insert into lockstep.audit_log (actor, action, subject)
    select case when i = 7 then 'rare@host' else 'user' || i % 5 || '@host' end, case when i = 9 then 'model.alias.remove' else 'explain' end, 'delay@' || i % 9
    from generate_series(1, 60000) i;
  insert into lockstep.rollups (at, process, model, version, role, ended, traffic)
    select at, 'p', 'model_' || m, 1, 'champion', false, decode('${traffic}', 'hex')
    from generate_series(timestamptz '2026-01-05Z', '2026-01-05 09:59Z', '1 minute') at, generate_series(0, 39) m;
  insert into lockstep.merged_rollups (step, at, model, version, role, parts, traffic)
    select 'hour', at, 'model_' || m, 1, 'champion', 60, decode('${traffic}', 'hex')
    from generate_series(timestamptz '2025-12-20Z', '2026-01-05 09:00Z', '1 hour') at, generate_series(0, 39) m`

beforeAll(async () => {
  const { db } = opened()
  await rollupPartitions.create(db, [day / 86_400_000_000])
  await db.script(history)
  for (const table of ['definitions', 'jobs', 'alerts', 'audit_log', 'rollups', 'merged_rollups'])
    await db.script(`vacuum analyze lockstep.${table}`)
})

const taken = (read: (handle: Pick<Database, 'kysely' | 'query'>) => Promise<unknown>) => rowsTaken(opened().db, read)

it('definitions are loaded without those that are retired', async () => {
  expect(await currentDefinitions(opened().db.kysely)).toHaveLength(20)
  expect(await taken(({ kysely }) => currentDefinitions(kysely))).toBeLessThan(100)
})

it('the registry at a moment is read without what was retired then', async () => {
  const { db } = opened()
  const moment = Date.UTC(2026, 0, 2)
  const state = (name: string, at: number, retired: boolean) =>
    db.query(`insert into lockstep.definition_states (kind, name, version, at, fingerprint, spec, operational, retired)
      values ('entity', '${name}', 0, to_timestamp(${at / 1000}), 'f', '{"name": "${name}"}', '{}', ${retired})`)
  await state('stays', moment - 1000, false)
  await state('retired_before', moment - 1000, false)
  await state('retired_before', moment - 500, true)
  await state('retired_after', moment - 1000, false)
  await state('retired_after', moment + 500, true)
  await state('revived', moment - 1000, true)
  await state('revived', moment - 500, false)
  const namesOf = async (scope: 'current' | 'all') => (await definitionsAt(db.kysely, new Date(moment), scope)).map(({ name }) => name)
  expect(await namesOf('current')).toEqual(['retired_after', 'revived', 'stays'])
  expect(await namesOf('all')).toEqual(['retired_after', 'retired_before', 'revived', 'stays'])
})

it('the inventory of current definitions has no retired ones', async () => {
  const { db } = opened()
  expect((await readInventory(db, 'current')).definitions.some(({ retired }) => retired)).toBe(false)
  expect((await readInventory(db, 'all')).definitions.filter(({ retired }) => retired)).toHaveLength(5_000)
})

it('the champion at a moment is the one that was set last', async () => {
  const { db } = opened()
  const moment = Date.UTC(2026, 0, 2)
  for (const [alias, at, to] of [
    ['champion', -2, 1],
    ['shadow', -1, 9],
    ['champion', 1, 2],
    ['champion', 2, null],
  ] as const)
    await db.query(`insert into lockstep.model_events (model, action, alias, to_version, actor, at)
      values ('fraud', 'promote', '${alias}', ${to}, 'ann', to_timestamp(${moment / 1000 + at}))`)
  const at = async (seconds: number) => await aliasAt(db, 'fraud', 'champion', new Date(moment + seconds * 1000))
  expect([await at(-3), await at(0), await at(1), await at(2)]).toEqual([null, 1, 2, null])
  expect(await taken(({ kysely }) => aliasAt({ kysely }, 'fraud', 'champion', new Date(moment)))).toBeLessThan(20)
})

it('a plan reads current definitions, and retired ones that the file declares', async () => {
  const set = sampleSet({ landings: { ...landings, name: 'old_7' } })
  const { changes } = await planChanges(opened().db, set)
  expect(changes.filter(({ kind }) => kind === 'source').map(({ name, status }) => [name, status])).toEqual([
    ['old_7', 'revived'],
    ['weather', 'added'],
  ])
  expect(await taken(({ kysely }) => planOn(kysely, set, {}))).toBeLessThan(1_000)
})

it.each([
  ['all jobs', {}, 50],
  ['jobs after a page', { after: { isFirst: false, id: 10_000 } }, 50],
  ['jobs of a kind', { kind: 'kind_1' }, 50],
  ['jobs that run', { state: 'running' }, 3],
  ['the newest job of each kind and subject', { newest: true }, 20],
  ['the newest job of each subject of a kind', { newest: true, kind: 'kind_1' }, 5],
] as const)('a page of %s reads about its own rows', async (_, filter, length) => {
  expect(await readJobs(opened().db, { ...filter, limit: 50 })).toHaveLength(length)
  expect(await taken((db) => readJobs(db, { ...filter, limit: 50 }))).toBeLessThan(500)
})

it('the newest jobs are those with the greatest ids of their kinds and subjects', async () => {
  const newest = await opened().db.query<{ id: number }>('select max(id)::int as id from lockstep.jobs group by kind, subject')
  const found = await readJobs(opened().db, { newest: true })
  expect(found).toHaveLength(newest.length)
  expect(new Set(found.map(({ id }) => id))).toEqual(new Set(newest.map(({ id }) => id)))
})

it('the gauges of jobs read only those that run or failed', async () => {
  const metrics = async (db: Pick<Database, 'kysely'>): Promise<string> => {
    const registry = new Registry()
    registerJobGauges(registry, async () => db)
    return await registry.metrics()
  }
  for (const kind of [0, 1, 2, 3]) expect(await metrics(opened().db)).toContain(`lockstep_jobs{kind="kind_${kind}",state="failed"} 0`)
  expect(await taken(metrics)).toBeLessThan(100)
})

it('old jobs are deleted without a read of the others', async () => {
  const { db } = opened()
  const ids = (condition: string) => `select id from lockstep.jobs where kind = 'kind_0' and ${condition} order by id limit 10`
  await db.query(`update lockstep.jobs set finished_at = now() - interval '91 days' where id in (${ids(`state = 'done'`)})`)
  // the newest of its key stays
  await db.query(
    `update lockstep.jobs set key = id::text, finished_at = now() - interval '91 days' where id = (select max(id) from lockstep.jobs)`,
  )
  const forgotten: number[] = []
  expect(await taken(async (handle) => forgotten.push(await forgetJobs(handle)))).toBeLessThan(1_000)
  expect(forgotten).toEqual([10])
})

it.each([
  ['all alerts', {}, 50],
  ['alerts after a page', { after: { isFirst: false, id: 5_000 } }, 50],
  ['alerts of a monitor', { monitor: 'monitor_7' }, 50],
  ['alerts that fire', { state: 'firing' }, 5],
] as const)('a page of %s reads about its own rows', async (_, filter, length) => {
  expect(await readAlerts(opened().db, { ...filter, limit: 50 })).toHaveLength(length)
  expect(await taken((db) => readAlerts(db, { ...filter, limit: 50 }))).toBeLessThan(500)
})

it.each([
  ['a rare user', { who: 'rare' }, 1],
  ['a rare actor', { who: 'rare@host' }, 1],
  ['a rare action', { what: 'model.alias.remove' }, 1],
  ['a rare group of actions', { what: 'model' }, 1],
  ['a rare subgroup of actions', { what: 'model.alias' }, 1],
  ['a rare user of a frequent subject', { who: 'rare', what: 'delay' }, 1],
  ['a word that nothing has', { what: 'nothing' }, 0],
] as const)('the audit log finds %s without a read of all records', async (_, filter, length) => {
  expect(await readAudit(opened().db, { ...filter, limit: 50 })).toHaveLength(length)
  // it reads the newest records first
  expect(await taken((db) => readAudit(db, { ...filter, limit: 50 }))).toBeLessThan(45_000)
})

it('the audit log finds frequent words page by page', async () => {
  const first = await readAudit(opened().db, { what: 'delay@3', limit: 50 })
  const second = await readAudit(opened().db, { what: 'delay@3', limit: 50, before: first.at(-1)?.id })
  const rows = await opened().db.query<{ id: number }>(
    `select id::int as id from lockstep.audit_log where subject = 'delay@3' order by id desc limit 100`,
  )
  expect([...first, ...second].map(({ id }) => id)).toEqual(rows.map(({ id }) => id))
  expect(await taken((db) => readAudit(db, { what: 'delay@3', limit: 50 }))).toBeLessThan(2_000)
})

it('the traffic of a model is read without the rows of other models', async () => {
  const window = { from: day, to: day + 10 * 3_600_000_000 }
  // 600 minutes are counted, and 10 hours are counted and read
  expect(await taken((db) => readVersionGroups(db, ['model_7'], window))).toBeLessThan(2_000)
})

it('the traffic of all models is read at once', async () => {
  const window = { from: day, to: day + 10 * 3_600_000_000 }
  const rows = 40 * (600 + 10 + 10)
  expect((await readVersionGroups(opened().db, models, window)).size).toBe(40)
  expect(await taken((db) => readVersionGroups(db, models, window))).toBeLessThan(3 * rows)
})
