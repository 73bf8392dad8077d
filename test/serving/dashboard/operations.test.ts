import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { foldTransactions } from '../../../materializer/events/fold-transactions.ts'
import { decide } from '../../../monitoring/rollouts/decide.ts'
import { applyChanges } from '../../../registry/changes/apply.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { deleteModelVersion } from '../../../registry/models/delete-model-version.ts'
import { pinModel, unpinModel } from '../../../registry/models/pin-model.ts'
import { promoteModel } from '../../../registry/models/promote.ts'
import { pruneDefinitions } from '../../../registry/changes/prune.ts'
import { actOnDecision } from '../../../registry/rollouts/act-on-decision.ts'
import { startRollout } from '../../../registry/rollouts/change-rollout.ts'
import { readDecisions } from '../../../registry/rollouts/decisions.ts'
import { loadConfig } from '../../../runtime/config.ts'
import type { CatalogIndex } from '../../../serving/dashboard/contract/catalog.ts'
import type { JobsData } from '../../../serving/dashboard/contract/jobs.ts'
import type { ModelData } from '../../../serving/dashboard/contract/model.ts'
import type { RolloutData } from '../../../serving/dashboard/contract/rollout.ts'
import { judgeDecisions } from '../../../serving/dashboard/rollouts/judged-decisions.ts'
import { landingsPipeline, streamingSet } from '../streaming/pipeline-world.ts'
import { createLogger } from '../../../runtime/log.ts'
import { backfillPredictions } from '../../../serving/predict/backfill-predictions.ts'
import type { World } from '../world.ts'
import { createWorld, noon } from '../world.ts'
import type { Visitor } from './visitor.ts'
import { createVisitor } from './visitor.ts'

const stream = { kind: 'redis', stream: 'landed', group: 'landings', field: 'data' } as const
const applied = streamingSet(stream, [landingsPipeline()])

let world: World
let ann: Visitor
beforeAll(async () => {
  world = await createWorld('embedded', applied)
  for (const view of ['airport_required', 'airport_delays']) await world.materialize(view)
  await world.push('delay', 'logistic')
  await world.push('delay', 'logistic', 'second')
  const { server, url } = await world.serve()
  await server.whenReady()
  ann = createVisitor(url)
  await ann.login(world.db)
})
afterAll(() => world?.close())

/** Now, as `?asOf=` takes it. */
const moment = async () => {
  const [row] = await world.db.query<{ at: string }>(`select to_json(clock_timestamp()) #>> '{}' as at`)
  return encodeURIComponent(row?.at ?? '')
}

describe('the page of now', () => {
  interface Listed {
    readonly what: string
    readonly link: { readonly kind: string; readonly id: string }
    readonly about: object | null
    readonly consequences: readonly Listed[]
  }

  it('lists what follows from one cause under it, with a link to each alert and to what it is about', async () => {
    const [nulls, drift] = await world.db.query<{ id: string }>(`
      insert into lockstep.alerts (monitor, check_kind, subject, severity, state, started, notified, about, started_with, result)
      select 'model:delay', kind, 'landings (model version 1)', 'ticket', 'firing', 1, false, '{}', '{"cause": "why"}', '{}'
      from unnest(array['nulls', 'drift']) kind returning id::text as id`)
    const { problems, views } = (await ann.data('/now')) as { problems: readonly Listed[]; views: object }
    expect(views).toEqual({ online: 4, late: 0, incomplete: 2 })
    const about = { kind: 'source', id: 'landings' }
    expect(problems.filter(({ what }) => what.includes('landings'))).toMatchObject([
      {
        what: 'model:delay: nulls of landings (model version 1)',
        link: { kind: 'alert', id: nulls?.id },
        about,
        consequences: [{ what: 'model:delay: drift of landings (model version 1)', link: { kind: 'alert', id: drift?.id }, about }],
      },
    ])
    const named = async (text: string) => {
      const { alerts } = (await ann.data(`/alerts?q=${encodeURIComponent(text)}`)) as { alerts: readonly { id: string }[] }
      return alerts.map(({ id }) => id)
    }
    expect([await named('DRIFT'), await named('100%_')]).toEqual([[drift?.id], []])
    expect(await ann.data(`/alerts?id=${drift?.id}`)).toMatchObject({
      alerts: [{ id: drift?.id, check: 'drift', link: about }],
      cursor: null,
    })
    await world.db.query('delete from lockstep.alerts where id = any($1)', [[nulls?.id, drift?.id]])
  })

  it('counts all failed jobs of its last day, and lists the newest', async () => {
    const fail = async (count: number, at: string) =>
      await world.db.query(
        `insert into lockstep.jobs (kind, subject, scope, spec, state, plans, finishes, cleans, lease_seconds, keep_days, submitted_by, finished_at)
         select 'backfill', 'old', '', '{}', 'failed', false, false, false, 30, 7, 'test', $2 from generate_series(1, $1)`,
        [count, at],
      )
    await fail(1, '2001-06-20T10:00:00Z')
    await fail(25, '2001-07-01T10:00:00Z')
    const seen = async (query: string) => {
      const { jobs, problems } = (await ann.data(`/now${query}`)) as { jobs: object; problems: Listed[] }
      const ofJobs = problems.filter(({ link }) => link.kind === 'job')
      return { ...jobs, causes: ofJobs.length, listed: ofJobs.flatMap(({ consequences }) => ['cause', ...consequences]).length }
    }
    expect(await seen('?asOf=2001-07-01T11:59:00Z')).toMatchObject({ failed: 25, causes: 1, listed: 20 })
    // the newer ones hide no older one
    expect(await seen('?asOf=2001-06-20T12:00:00Z')).toMatchObject({ failed: 1, causes: 1, listed: 1 })
    await world.db.query('delete from lockstep.jobs where subject = $1', ['old'])
  })
})

describe('a rollout', () => {
  it('that has ended is listed, opens with its decisions, and is shown as of a moment', async () => {
    const by = { actor: 'ann' }
    const gates = [{ kind: 'errors', margin: 0.01, samples: 100 }]
    const plan = { steps: [{ share: 0.1, atLeast: '1s', samples: 10 }], gates }
    const answered = (n: number, failed: number) => ({ requests: n, failed, codes: {} })
    const start = async (version: number) => (await startRollout(world.db, 'delay', { version, plan }, by)).rollout
    await promoteModel(world.db, 'delay', 1, by)
    const first = await start(2)
    const evidence = {
      micros: 5e6,
      rows: 300,
      bypasses: 0,
      bypassedRows: 0,
      failures: [null],
      gates: [{ candidate: answered(300, 60), champion: answered(1200, 1), championOf: 'the same time' }],
    }
    if (first.plan === null) throw new Error('The rollout has no plan.')
    const decided = decide(first.plan, 0, evidence)
    expect(await actOnDecision(world.db, first, decided, evidence)).toBe(true)
    const after = await moment()
    expect(((await ann.data(`/models/delay?asOf=${after}`)) as ModelData).versions).toMatchObject([
      { version: 2, role: null, note: expect.stringMatching(/^rolled back at 20.* UTC, no training set$/) as string },
      { version: 1, note: 'no training set' },
    ])
    const named = ((await ann.data(`/catalog/index?asOf=${after}`)) as CatalogIndex).entries.find(
      ([kind, name]) => kind === 'model' && name === 'delay',
    )
    expect(named?.slice(0, 3)).toEqual(['model', 'delay', 1])
    const second = await start(2)
    const data = (await ann.data('/rollouts/delay')) as RolloutData
    expect([data.rollout?.id, data.others]).toMatchObject([String(second.id), [{ id: String(first.id), state: 'rolled back' }]])
    const old = (await ann.data(`/rollouts/delay?rollout=${first.id}`)) as RolloutData
    expect(old).toMatchObject({
      rollout: { state: 'rolled back' },
      decisions: [{ action: 'roll back', replaysSame: true }, { action: 'start' }],
    })
    expect(old.headline).toMatch(
      /^The rollout of delay@2 was rolled back at 20.* UTC: the champion answers again\. Reason: errors: 60 of 300/,
    )
    expect(old.traffic.finding).toBe('The candidate got at most 10 % of the requests, and none in the end.')
    const [gate] = old.gates
    expect(gate).toMatchObject({ verdict: 'fails', bound: { value: 2 }, evidence: { series: [{ label: 'evidence', unit: 'odds' }] } })
    expect(gate?.evidence?.series[0]?.points[0]?.v).toBeGreaterThan(gate?.bound?.value ?? Number.POSITIVE_INFINITY)
    const replay = (await ann.data(`/rollouts/delay/decisions/${old.decisions[0]?.id}`)) as object
    expect(replay).toMatchObject({ replay: { isSame: true, action: 'roll back' } })
    expect(replay).toMatchObject({
      gates: [{ verdict: 'roll back', difference: { unit: 'share', allowed: 0.01 }, meter: { reached: 1 } }],
    })
    expect(await ann.ask('/ui/api/rollouts/delay?rollout=999')).toMatchObject({ status: 404 })
    const then = await ann.data(`/rollouts/delay?asOf=${first.startedAt.toISOString()}`)
    expect(then).toMatchObject({ rollout: { id: String(first.id), state: 'running', share: 0.1 }, others: [] })
    expect((then as RolloutData).headline).toMatch(/ answered 10 % of the requests/)
    expect(data.headline).toMatch(/ answers 10 % of the requests/)
    expect(await ann.data('/rollouts/delay?asOf=2001-07-01T12:00:00Z')).toMatchObject({ rollout: null, others: [] })
    // pages that poll judge a decision once, and again only if a later look has replaced it
    const judge = async (laterMs = 0, failed = 60) => {
      const decisions = (await readDecisions(world.db.kysely, first.id)).map((each) => ({
        ...each,
        at: new Date(each.at.getTime() + laterMs),
        evidence: each.evidence === null ? null : { ...evidence, gates: [{ ...evidence.gates[0], candidate: answered(300, failed) }] },
      }))
      return await judgeDecisions(world.db, first, decisions)
    }
    const [judged] = await judge()
    expect(judged?.answers).toMatchObject([{ verdict: 'roll back' }])
    expect((await judge())[0]?.answers).toBe(judged?.answers)
    expect((await judge(1, 0))[0]?.answers).not.toMatchObject([{ verdict: 'roll back' }])
  })
})

describe('jobs', () => {
  const listed = async (query: string) => (await ann.data(`/jobs${query}`)) as JobsData
  const all = async (query = ''): Promise<JobsData['jobs']> => {
    const { jobs, cursor } = await listed(query)
    return cursor === null ? jobs : [...jobs, ...(await all(`?cursor=${cursor}`))]
  }

  it('are listed by page, those that run first, and as of a moment', async () => {
    await world.db.query(
      `insert into lockstep.jobs (kind, subject, scope, spec, state, plans, finishes, cleans, lease_seconds, keep_days, submitted_by, submitted_at, finished_at)
       select 'backfill', 's' || i, 's' || i, '{}', case when i % 3 = 0 then 'running' else 'failed' end, false, false, false, 30, 7, 'test',
         timestamptz '2001-06-01T00:00:00Z' + i * interval '1 hour', case when i % 3 = 0 then null else timestamptz '2001-06-01T00:30:00Z' + i * interval '1 hour' end
       from generate_series(1, 130) i`,
      [],
    )
    const jobs = await all()
    expect(jobs).toHaveLength(130)
    expect(new Set(jobs.map(({ id }) => id)).size).toBe(130)
    expect(jobs.map(({ state }) => state).lastIndexOf('waiting')).toBe(42)
    expect((await ann.ask('/ui/api/jobs?cursor=7')).status).toBe(400)
    const then = await listed('?asOf=2001-06-01T02:10:00Z')
    expect(then.jobs.map(({ subject, state, canRetry }) => [subject, state, canRetry])).toEqual([
      ['s2', 'running', false],
      ['s1', 'failed', false],
    ])
    const { notes } = (await ann.ask('/ui/api/jobs?asOf=2001-06-01T02:10:00Z')).body
    expect(notes).toEqual(['Runs that were deleted since are not shown: of monitors and rollouts, only the newest is kept.'])
  })

  it('that failed are begun again, with a reason', async () => {
    const job = (await listed('')).jobs.find(({ canCancel }) => canCancel)
    expect(await ann.post(`/jobs/${job?.id}/retry`, { reason: 'it runs' }, job?.revision ?? '')).toMatchObject({ status: 400 })
    const failed = (await all()).find(({ canRetry }) => canRetry)
    const retry = async (reason: string) => await ann.post(`/jobs/${failed?.id}/retry`, { reason }, failed?.revision ?? '')
    expect(await retry('the disk has room')).toMatchObject({ status: 200 })
    const again = (await all()).find(({ id }) => id === failed?.id)
    expect(again).toMatchObject({ state: 'waiting', canRetry: false })
    // a page that still shows the failure neither retries nor cancels the job
    const stale = { status: 412, body: { error: { code: 'STALE' } } }
    expect(await retry('older page')).toMatchObject(stale)
    const cancel = async (revision = '') => await ann.post(`/jobs/${failed?.id}/cancel`, { reason: 'not now' }, revision)
    expect(await cancel(failed?.revision)).toMatchObject(stale)
    const { records } = (await ann.data('/audit')) as { records: object[] }
    expect(records[0]).toMatchObject({ what: 'job.retry', reason: 'the disk has room' })
    expect(await cancel(again?.revision)).toMatchObject({ status: 200 })
    expect(await cancel(again?.revision)).toMatchObject(stale)
    // a page that shows an earlier run does not cancel the present one
    const cancelled = (await all()).find(({ id }) => id === failed?.id)
    expect(await ann.post(`/jobs/${failed?.id}/retry`, { reason: 'it has room' }, cancelled?.revision ?? '')).toMatchObject({ status: 200 })
    expect(await cancel(again?.revision)).toMatchObject(stale)
    expect(await cancel((await all()).find(({ id }) => id === failed?.id)?.revision)).toMatchObject({ status: 200 })
  })
})

describe('the freshness of a view', () => {
  interface Stage {
    readonly name: string
    readonly p50: number | null
    readonly says: string | null
  }
  // an answer is kept for three seconds, so each look is of another moment
  const stagesAt = async (time: string) => {
    const { stages } = (await ann.data(`/views/airport_delays@1/freshness?asOf=2001-07-01T${time}Z`)) as { stages: readonly Stage[] }
    return Object.fromEntries(stages.map(({ name, ...stage }) => [name, stage]))
  }
  const near = (seconds: number) => expect.toSatisfy((found: number) => Math.abs(found / seconds - 1) < 0.06) as unknown
  const landed = async (at: string, more = '') =>
    await world.db.script(`insert into lockstep_source.landings (airport, at, delay) values ('ATL', '2001-07-01T${at}Z', 1); ${more}`)

  it('has how long rows took from the event to the answer, by stage, and what is not recorded', async () => {
    // the first row of an entity counts as others do: the first run of the view was before
    await landed('11:00:00')
    await world.materialize('airport_delays')
    const none = 'no new row of the last day was measured'
    expect((await stagesAt('12:40:00'))['known → ingested']).toMatchObject({ p50: null, says: none })
    await landed('11:50:00')
    await world.materialize('airport_delays')
    expect(await stagesAt('13:00:00')).toMatchObject({
      'event → known': { p50: null, says: 'the source declares no known time: an event is known as it happens' },
      'known → ingested': { p50: null, says: 'when rows came into the table is not recorded: other programs write it' },
      'known → materialized': { p50: near(600), says: '2 rows of the last day' },
      'materialized → served': { p50: null },
    })
    // of a file that was loaded two minutes before the run
    await landed(
      '11:55:00',
      `insert into lockstep.ingests (actor, again, already, at, every, key, path, relation, rows, sha256, source, xid)
       values ('ann', false, 0, '2001-07-01T11:58:00Z', 1, '{}', 'f', 'r', 1, 's', 'landings', pg_current_xact_id())`,
    )
    await world.materialize('airport_delays')
    expect(await stagesAt('13:00:01')).toMatchObject({
      'known → ingested': { p50: near(180) },
      'ingested → materialized': { p50: near(120) },
    })
    // a push is folded as it is ingested
    await landed('11:59:58')
    const [{ xid }] = (await world.db.query(
      `select _xid::text as xid from lockstep_source.landings where at = '2001-07-01T11:59:58Z'`,
    )) as [{ xid: string }]
    const { view } = await loadCatalog(world.db)
    await foldTransactions(world.db, world.store, [view('airport_delays')], [Number(xid)], { moment: noon })
    await foldTransactions(world.db, world.store, [view('airport_delays')], [Number(xid)], { moment: noon })
    // pushes are written from time to time, and by each run, which finds that these rows are in their states; a run
    // does not fail where they cannot be written, and the next one writes them
    await world.db.script('alter table lockstep.row_delays rename to row_delays_taken')
    await world.materialize('airport_delays')
    await world.db.script('alter table lockstep.row_delays_taken rename to row_delays')
    await world.materialize('airport_delays')
    const pushed = await stagesAt('13:00:02')
    expect(pushed['known → ingested']).toMatchObject({ p50: near(2), says: '2 rows of the last day' })
    // the hour of a past moment is not over
    expect((await stagesAt('12:30:00'))['known → ingested']).toMatchObject({ p50: null, says: none })
  })
})

describe('the state of a view', () => {
  it('is "ready" where it is complete, but rows of its source cannot be told apart by arrival', async () => {
    await world.db.script('alter table lockstep_source.landings rename column _xid to arrived')
    const view = await ann.data('/views/airport_delays@1')
    await world.db.script('alter table lockstep_source.landings rename column arrived to _xid')
    expect(view).toMatchObject({
      online: true,
      state: 'ready',
      says: expect.stringContaining('How many came since is not known.') as unknown,
    })
  })
})

describe('the page of a model', () => {
  it('compares its calibration at each step, and links each feature to its view, with all likely causes', async () => {
    const steps = [
      { from: 0.1, to: 0.3, share: 0.25, low: 0.15, high: 0.22, rows: 60 },
      { from: 0.5, to: 0.7, share: 0.6, low: 0.5, high: 0.7, rows: 40 },
    ]
    const error = { value: 0.02, low: null, high: null, n: 5000, reason: null }
    const counts = { predictions: 100, judged: 100, immature: 0, withoutOutcome: 0 }
    const auc = { value: 0.7, low: 0.6, high: 0.8, n: 100, reason: null }
    const quality = { total: { ...counts, figures: { auc }, calibration: { error, curve: { n: 100, steps } } } }
    const column = { drifted: true, distances: null, untested: null, harm: 1, causes: [{ text: 'a unit' }, { text: 'more rows' }] }
    const drifted = { ...column, distances: { psi: 0.3 }, effect: null, adjustedP: null, bins: [], otherCategories: null }
    const byChance = { ...drifted, drifted: false, effect: 0.2, adjustedP: 0.03, harm: 0.1, causes: [] }
    const moved = {
      mean: { baseline: 1, window: 3 },
      missing: { baseline: 0, window: 0.005, reasons: [] },
      outOfRange: { baseline: 0, window: 0 },
    }
    const baseline = { origins: [{ kind: 'served', from: '2001-06-01T00:00:00Z', to: '2001-06-02T00:00:00Z' }] }
    const window = { from: '2001-06-30T11:00:00Z', to: '2001-07-01T11:00:00Z' }
    const ofRows = { model: 'delay', version: 1, rows: 100, window, baseline }
    const drift = {
      ...ofRows,
      alpha: 0.01,
      minPsi: 0.1,
      columns: [
        { ...drifted, ...moved, column: 'pressure' },
        { ...byChance, ...moved, column: 'lastDelay' },
      ],
    }
    await world.db.query(
      `insert into lockstep.model_figures (model, kind, version, as_of, report)
       values ('delay', 'quality', 1, '2001-07-01T11:00:00Z', $1), ('delay', 'drift', 1, '2001-07-01T11:00:00Z', $2)`,
      [JSON.stringify(quality), JSON.stringify(drift)],
    )
    const calibration = (await ann.data('/models/delay/calibration')) as {
      finding: string
      chart: { series: readonly { points: readonly object[] }[] }
    }
    expect(calibration.finding).toMatch(/^calibration error 0\.02\d*, of 5,000 predictions\. The curve is of 100 of them\.$/)
    const [observed, ideal] = calibration.chart.series
    expect(observed?.points).toEqual([
      { t: 0.2, v: 0.25, n: 60 },
      { t: 0.6, v: 0.6, n: 40 },
    ])
    // the band is that of a calibrated model, and no place of the other line leaves a gap
    expect(ideal?.points).toEqual([
      { t: 0, v: 0 },
      { t: 0.2, v: 0.2, low: 0.15, high: 0.22 },
      { t: 0.6, v: 0.6, low: 0.5, high: 0.7 },
      { t: 1, v: 1 },
    ])
    const shown = (await ann.data('/models/delay/quality')) as { drift: readonly object[]; overTime: readonly object[] }
    expect(shown.overTime).toMatchObject([{ chart: { finding: 'AUC 0.70 (0.60 to 0.80) at 2001-07-01 11:00 UTC.' } }])
    // no training set was compared with
    const says = 'The mean was 1.0 in the first rows served, 3.0 as served. A unit; more rows.'
    expect(shown.drift).toMatchObject([
      { feature: 'pressure', view: 'flight_context@1', distance: 0.3, byChance: null, says },
      { drifted: false, says: 'It did not drift: p is 0.030. The mean was 1.0 in the first rows served, 3.0 as served.' },
    ])
    expect(await ann.data('/features/flight_context@1.pressure/stats')).toMatchObject({
      reference: 'the first rows served',
      distribution: {
        chart: {
          finding:
            'It drifted: PSI 0.30. The mean was 1.0 in the first rows served, 3.0 as served. 0 % were missing in the first rows served, 0.5 % as served.',
          series: [{ label: 'served' }, { label: 'the first rows served' }],
        },
      },
    })
    const { inputs } = (await ann.data('/models/delay')) as { inputs: readonly object[] }
    expect(inputs).toContainEqual({ feature: 'pressure', view: 'flight_context@1', type: 'float64' })
    await world.db.query('delete from lockstep.model_figures')
  })
})

describe('pages of figures', () => {
  it('read no logged predictions, and those of a model no rows of sources', async () => {
    await world.db.kysely.transaction().execute(async (transaction) => {
      await sql`lock table lockstep.prediction_log, lockstep_source.landings in access exclusive mode`.execute(transaction)
      const waiting = sql<{ relation: string }>`select relation::regclass::text as relation from pg_locks where not granted`
      let answered = false
      const model = ann.data('/models/delay').finally(() => (answered = true))
      const waits: string[] = []
      while (!answered) waits.push(...(await waiting.execute(transaction)).rows.map(({ relation }) => relation))
      expect([await model, waits]).toEqual([expect.objectContaining({ name: 'delay' }), []])
      for (const path of [
        '/models/delay/quality',
        '/models/delay/calibration',
        '/features/airport_delays@1.lastDelay/stats',
        '/services/flight@1',
        '/parity?from=2001-06-01T00:00:00Z',
        '/rollouts/delay',
      ])
        expect([path, (await ann.ask(`/ui/api${path}`)).status]).toEqual([path, 200])
    })
  })
})

describe('the registry as of a moment', () => {
  const by = { actor: 'bob' }
  const read = async (path: string): Promise<Record<string, unknown> & { readonly notes: string[] }> => {
    const { data, notes = [] } = (await ann.ask(`/ui/api${path}`)).body as { data: Record<string, unknown>; notes?: string[] }
    return { ...data, notes }
  }

  it('has the definitions, versions and aliases of then, and says what is missing', async () => {
    const third = await world.push('delay', 'logistic', 'third')
    await promoteModel(world.db, 'delay', third, by)
    await pinModel(world.db, 'delay', 1, by, { atOnce: true })
    const before = await moment()
    const changed = applied.views.map((each) =>
      each.spec.name === 'airport_delays' ? { ...each, operational: { ...each.operational, owner: 'bob', online: false } } : each,
    )
    await applyChanges(world.db, { ...applied, views: changed })
    await pruneDefinitions(world.db, ['history@1'], by, () => Promise.resolve())
    await unpinModel(world.db, 'delay', by)
    await promoteModel(world.db, 'delay', 1, by)
    await deleteModelVersion(world.db, 'delay', third, by)
    const after = await moment()

    expect(await read(`/views/airport_delays@1?asOf=${before}`)).toMatchObject({ owner: null, online: true, notes: [] })
    expect(await read(`/views/airport_delays@1?asOf=${after}`)).toMatchObject({ owner: 'bob', online: false, state: 'offline' })
    expect(await read(`/models/delay?asOf=${before}`)).toMatchObject({
      champion: third,
      pinned: 1,
      versions: [
        { version: 2, role: 'candidate' },
        { version: 1, role: null },
      ],
      notes: [`Deleted since, and not shown: delay@${third}.`],
    })
    expect(await read(`/models/delay?asOf=${after}`)).toMatchObject({ champion: 1, pinned: null, notes: [] })
    // of views and running jobs then nothing is known
    expect(await read(`/now?asOf=${before}`)).toMatchObject({
      models: expect.arrayContaining([expect.objectContaining({ name: 'delay', champion: third })]) as unknown,
      views: null,
      jobs: { running: null },
      notes: expect.arrayContaining([expect.stringContaining('were not recorded')]) as unknown,
    })
    expect((await read('/now')).models).toContainEqual(expect.objectContaining({ name: 'delay', champion: 1 }))
    const newest = async (at: string) => ((await read(`/audit?asOf=${at}`)).records as { what: string }[])[0]?.what
    expect([await newest(before), await newest(after)]).toEqual(['model.pin', 'model.delete'])
    const names = async (at: string) => {
      const { entries } = await read(`/catalog/index?asOf=${at}`)
      return (entries as string[][]).map(([kind, name]) => `${kind} ${name}`)
    }
    expect(await names(before)).toContain('service history')
    expect(await names(after)).not.toContain('service history')
    const { nodes } = await read(`/lineage?focus=view/airport_delays@1&asOf=${before}`)
    expect(nodes).toContainEqual(expect.objectContaining({ key: 'service history@1', retired: false }))
    // as the present has it
    expect(await read('/services/history@1')).toMatchObject({
      facts: expect.arrayContaining([{ name: 'State', value: 'pruned', link: null }]) as unknown,
    })
    expect((await read(`/services/history@1?asOf=${before}`)).facts).not.toContainEqual(expect.objectContaining({ name: 'State' }))
  })

  it('is its first state before a definition was there, and says so', async () => {
    const early = '2001-06-30T10:00:00Z'
    expect(await read(`/catalog/index?asOf=${early}`)).toMatchObject({ entries: [], notes: ['The registry had no definitions then.'] })
    const view = await read(`/views/airport_delays@1?asOf=${early}`)
    expect(view).toMatchObject({ id: 'airport_delays@1', owner: null })
    expect(view.notes[0]).toMatch(/^The registry did not have the feature view "airport_delays@1" then: it was applied first at 20/)
    for (const path of [
      '/sources/landings',
      '/services/flight@1',
      '/features/airport_delays@1.lastDelay/stats',
      '/models/delay',
      '/lineage?focus=source/landings',
    ])
      expect((await read(`${path}${path.includes('?') ? '&' : '?'}asOf=${early}`)).notes[0]).toMatch(/^The registry did not have the /)
    expect((await ann.ask(`/ui/api/views/none?asOf=${early}`)).body.error?.code).toBe('UNKNOWN_DEFINITION')

    const now = await moment()
    const { notes } = await read(`/sources/balances?asOf=${now}`)
    expect(notes).toContain('How many rows it had then is not recorded.')
  })

  it('says of which models a backfill logged predictions, although no client asked for them', async () => {
    const spine = { sql: `select 'ATL' as airport, timestamptz '2001-06-30T07:30:00Z' as at, 100 as distance` }
    const asked = { model: 'delay', spine, now: noon, log: createLogger('silent') }
    await backfillPredictions(world.db, await loadCatalog(world.db), loadConfig({}), asked)
    const backfilled = expect.stringMatching(/^A backfill logged 1 prediction of delay from 07:00 to 08:00 UTC\./) as string
    for (const path of ['/now', '/models/delay']) {
      expect((await read(`${path}?asOf=2001-06-30T08:00:00Z`)).notes).toContainEqual(backfilled)
      expect((await read(`${path}?asOf=2001-06-30T06:00:00Z`)).notes).not.toContainEqual(expect.stringContaining('A backfill'))
    }
  })
})
