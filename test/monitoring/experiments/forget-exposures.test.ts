import { beforeEach, expect, it } from 'vitest'
import { analyzeRun, requireRun } from '../../../monitoring/experiments/analyze-run.ts'
import { experimentReport } from '../../../monitoring/experiments/experiment-report.ts'
import { forgetExposures } from '../../../monitoring/experiments/forget-exposures.ts'
import { forgetCounts } from '../../../monitoring/rollouts/forget-counts.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { during, openServer } from '../../opened-database.ts'

const opened = during(() => openServer())
const db = () => opened().db
const retentionDays = 30

beforeEach(() => db().script('truncate lockstep.experiments, lockstep.exposures, lockstep.exposure_recorders, lockstep.rollouts cascade'))

interface Ended {
  /** How many days ago it ended; null: it runs. */
  readonly ended: number | null
  readonly withinDays?: number
  readonly exposures?: number
  /** How many hours before the end it was analyzed; a negative number means after it. */
  readonly analyzed?: readonly number[]
  /** Which of the results the decision names. */
  readonly decided?: number
}

async function addRun(name: string, { ended, withinDays = 1, exposures = 3, analyzed = [-1], decided }: Ended): Promise<string> {
  const at = `now() - interval '${ended ?? 0} days'`
  const spec = JSON.stringify({ name, metrics: [{ withinMicros: withinDays * 86_400_000_000 }] })
  const [run] = await db().query<{ id: string }>(`
    insert into lockstep.experiments (name, model, spec, state, salt, coverage, variants, slices, started_by, stopped_by, stopped_at)
    values ('${name}', 'm', '${spec}', '${ended === null ? 'running' : 'stopped'}', '', 1, '{}', '[]', 'ann',
      ${ended === null ? 'null, null' : `'ann', ${at}`}) returning id`)
  const id = run?.id ?? ''
  // a unit may have two variants
  await db().query(`
    insert into lockstep.exposures (experiment_id, unit, variant, exposed_at, last_at, rows, propensity, entity)
    select ${id}, 'u' || i / 2, 'v' || i % 2, now(), now(), 1, 0.5, '{}' from generate_series(1, ${exposures}) i`)
  await db().query(`insert into lockstep.exposure_recorders (experiment_id, process, started_at, written_at)
    values (${id}, gen_random_uuid(), now(), now())`)
  for (const hours of analyzed)
    await db().query(`insert into lockstep.experiment_results (experiment_id, as_of, result)
      values (${id}, ${at} - interval '${hours} hours', '{"hours": ${hours}, "metrics": [{"arms": [], "comparisons": []}]}')`)
  if (decided !== undefined)
    await db()
      .query(`update lockstep.experiments set state = 'decided', decision = json_build_object('evidence', json_build_object('result',
      (select id from lockstep.experiment_results where experiment_id = ${id} and result->>'hours' = '${decided}'))) where id = ${id}`)
  return id
}

async function kept(table: string): Promise<Record<string, number>> {
  const rows = await db().query<{ name: string; count: number }>(
    `select name, count(*)::int as count from lockstep.${table} x join lockstep.experiments e on e.id = x.experiment_id group by name order by name`,
  )
  return Object.fromEntries(rows.map(({ name, count }) => [name, count]))
}

it('exposures of a run are deleted once it ended before the retention', async () => {
  await addRun('running', { ended: null })
  await addRun('recent', { ended: 29 })
  await addRun('old', { ended: 31 })
  expect(await forgetExposures(db(), { retentionDays })).toBe(3)
  expect([await kept('exposures'), await kept('exposure_recorders')]).toEqual([
    { recent: 3, running: 3 },
    { recent: 1, running: 1 },
  ])
  expect(await forgetExposures(db(), { retentionDays })).toBe(0)
})

it('exposures stay until their units are mature and were analyzed', async () => {
  await addRun('immature', { ended: 31, withinDays: 40 })
  await addRun('not_analyzed', { ended: 31, analyzed: [] })
  await addRun('analyzed_before_its_end', { ended: 31, analyzed: [1] })
  expect(await forgetExposures(db(), { retentionDays })).toBe(0)
})

it('the last result of each day stays, and the one of the decision', async () => {
  await addRun('old', { ended: 31, analyzed: [100, 101, 50, 51, 52, -1, -2].map((hours) => hours + 1e-3), decided: 51.001 })
  const all = await db().query<{ day: string; last: string }>(
    `select max(as_of)::text as last from lockstep.experiment_results group by date_trunc('day', as_of) order by 1`,
  )
  const decided = await db().query<{ last: string }>(
    `select as_of::text as last from lockstep.experiment_results where result->>'hours' = '51.001'`,
  )
  await forgetExposures(db(), { retentionDays })
  const left = await db().query<{ last: string }>('select as_of::text as last from lockstep.experiment_results')
  expect(new Set(left.map(({ last }) => last))).toEqual(new Set([...all, ...decided].map(({ last }) => last)))
  expect(left.length).toBeLessThan(7)
})

it('a run without exposures shows its last results and is not analyzed again', async () => {
  await addRun('old', { ended: 31 })
  await forgetExposures(db(), { retentionDays })
  const run = await requireRun(db(), 'old')
  await expect(analyzeRun(db(), await loadCatalog(db()), run, Date.now() * 1000)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  expect(await experimentReport(db(), 'old')).toMatchObject({ state: 'stopped', looks: [{}] })
})

it('more exposures than a statement deletes are all deleted, also after a stop in between', async () => {
  await addRun('old', { ended: 31, exposures: 25_001 })
  const stop = new AbortController()
  const progress: number[] = []
  const onProgress = (_: string, deleted: number): void => {
    progress.push(deleted)
    stop.abort()
  }
  expect(await forgetExposures(db(), { retentionDays, signal: stop.signal, onProgress })).toBe(10_000)
  expect(progress).toEqual([10_000])
  expect(await kept('exposures')).toEqual({ old: 15_001 })
  expect(await forgetExposures(db(), { retentionDays })).toBe(15_001)
})

it('counts of rollouts that ended before the retention are deleted', async () => {
  const add = async (count: number, ended: string) =>
    await db().query(`
      with added as (
        insert into lockstep.rollouts (model, version, state, share, unit, salt, started_by, ended_at)
        select 'm' || i, 1, 'promoted', 1, 'u', '', 'ann', ${ended} from generate_series(1, ${count}) i returning id)
      insert into lockstep.rollout_counts (rollout, revision, side, process, counts) select id, 0, 'candidate', 'p', '' from added`)
  await add(250, `now() - interval '31 days'`)
  await add(2, `now() - interval '29 days'`)
  await add(1, 'null')
  expect([await forgetCounts(db(), retentionDays), await forgetCounts(db(), retentionDays)]).toEqual([250, 0])
  expect(await db().query('select 1 from lockstep.rollout_counts')).toHaveLength(3)
})
