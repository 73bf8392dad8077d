import { mkdtemp, readdir, rm, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { dayOf, predictionPartitions } from '../../monitoring/day-partitions.ts'
import { storedUploads } from '../../serving/uploads/stored-uploads.ts'
import type { World } from './world.ts'
import { createWorld } from './world.ts'

let world: World
let filesDirectory: string

beforeAll(async () => {
  world = await createWorld('embedded')
  filesDirectory = await mkdtemp(join(tmpdir(), 'lockstep-retention-'))
})
afterAll(async () => {
  await world?.close()
  await rm(filesDirectory, { recursive: true, force: true })
})

const file = { length: 2, name: 'rows.csv', sha256: null }
const config = { bodyLimitBytes: 100_000, logRetentionDays: 10, auditRetentionDays: 20, evidenceRetentionDays: 30 }
const daysAgo = (days: number) => `now() - interval '${days} days'`

/** A record of each kind that ended `days` ago. */
const records = (days: number) => `
  insert into lockstep.audit_log (at, actor, action, subject) values (${daysAgo(days)}, 'ann', 'apply', 'retention');
  insert into lockstep.idempotency_keys (owner, key, fingerprint, claim, busy_until, created_at)
    values ('ann', '${days}', '', '', ${daysAgo(days)}, ${daysAgo(days)});
  insert into lockstep.alerts (monitor, check_kind, subject, severity, state, started, resolved, resolution, notified, about, started_with, result)
    values ('m', 'drift', 's', 'ticket', 'resolved', 0, (extract(epoch from ${daysAgo(days)}) * 1000000)::bigint, 'cleared', true, '{}', '{}', '{}');
  with run as (
    insert into lockstep.experiments (name, model, spec, state, salt, coverage, variants, slices, started_by, stopped_by, stopped_at)
    values ('e', 'm', '{"metrics": [{"withinMicros": 1}]}', 'stopped', '', 1, '{}', '[]', 'ann', 'ann', ${daysAgo(days)}) returning id),
  result as (insert into lockstep.experiment_results (experiment_id, as_of, result) select id, now(), '{}' from run)
  insert into lockstep.exposures (experiment_id, unit, variant, exposed_at, last_at, rows, propensity, entity)
    select id, 'u', 'v', now(), now(), 1, 1, '{}' from run;
  with rollout as (
    insert into lockstep.rollouts (model, version, state, share, unit, salt, started_by, ended_at)
    values ('m', 1, 'promoted', 1, 'u', '', 'ann', ${daysAgo(days)}) returning id)
  insert into lockstep.rollout_counts (rollout, revision, side, process, counts) select id, 0, 'candidate', 'p', '' from rollout`

const counted = {
  auditRecords: `lockstep.audit_log where subject = 'retention'`,
  idempotencyKeys: 'lockstep.idempotency_keys',
  alerts: 'lockstep.alerts',
  exposures: 'lockstep.exposures',
  counts: 'lockstep.rollout_counts',
  days: `pg_inherits where inhparent = 'lockstep.prediction_log'::regclass`,
}

async function kept(): Promise<object> {
  const counts = Object.entries(counted).map(([name, from]) => `(select count(*)::int from ${from}) as "${name}"`)
  const [found = {}] = await world.db.query(`select ${counts.join(', ')}`)
  return { ...found, uploads: await readdir(join(filesDirectory, 'uploads')) }
}

it('a server deletes old records of each kind after their own retention', async () => {
  for (const days of [0, 19, 21, 29, 31]) await world.db.script(records(days))
  const today = dayOf(Date.now() * 1000)
  await predictionPartitions.create(world.db, [today - 11, today - 9])
  const uploads = storedUploads(join(filesDirectory, 'uploads'))
  const [old, recent] = [await uploads.add(file), await uploads.add(file)]
  const abandonedAt = new Date(Date.now() - 25 * 3_600_000)
  await utimes(old.path, abandonedAt, abandonedAt)
  await world.serve({ config: { ...config, filesDirectory }, clock: () => Date.now() * 1000 })
  const left = { auditRecords: 2, idempotencyKeys: 1, alerts: 2, exposures: 4, counts: 4, days: 1, uploads: [recent.id] }
  await expect.poll(kept, { timeout: 60_000 }).toEqual(left)
})
