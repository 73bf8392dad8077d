import { readdirSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeKey } from '../../kernel/values/entity-key.ts'
import { erasedKeyHash } from '../../materializer/erase/erased-key.ts'
import { loggedEntity } from '../../materializer/erase/logged-entity.ts'
import { checkParity } from '../../monitoring/parity/check-parity.ts'
import { copyPredictions } from '../../monitoring/prediction-log/copy-predictions.ts'
import { readRollupGroups, readRollup, rollupSeries } from '../../monitoring/rollups/read-rollups.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import { parseModelReference } from '../../registry/models/pick-version.ts'
import type { Actor } from '../../runtime/audit.ts'
import { readAudit } from '../../runtime/audit.ts'
import { createLogger } from '../../runtime/log.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { backfillPredictions } from '../../serving/predict/backfill-predictions.ts'
import type { PredictSpineSummary, PredictedBatch } from '../../serving/predict/predict-spine.ts'
import { predictSpine } from '../../serving/predict/predict-spine.ts'
import { centeringModel, endlessModel } from '../inference/made-models.ts'
import { servingSet, withRunTimeout } from './definitions.ts'
import { until } from './gate.ts'
import type { World } from './world.ts'
import { ask, createWorld, noon } from './world.ts'

const log = createLogger('silent')
let world: World
let url: string

beforeAll(async () => {
  world = await createWorld('embedded')
  await world.db.script(`
    insert into lockstep_source.landings (airport, at, delay)
    select 'A' || n % 7, timestamptz '2001-07-01' + n * interval '3 minutes', case when n % 11 = 0 then null else n % 40 end from generate_series(1, 240) n;
    create table spine as
    select n as id, 'A' || n % 9 as airport, timestamptz '2001-07-01' + n * interval '5 minutes' as at, 1.0 + n % 5 as distance, n % 2 = 0 as label from generate_series(1, 144) n;
  `)
  for (const view of ['airport_delays', 'airport_required']) await world.materialize(view)
  await world.push('delay', 'logistic')
  await world.push('echo', centeringModel())
  await world.push('echo', 'identity')
  await world.push('strict', 'one')
  const served = await world.serve()
  url = served.url
  await served.server.whenReady()
})
afterAll(() => world?.close())

async function predict(named: string, sql: string, columns?: readonly string[]) {
  const batches: PredictedBatch[] = []
  const options = { ...parseModelReference(named), spine: { sql }, time: 'at', log, ...(columns === undefined ? {} : { columns }) }
  const summary: PredictSpineSummary = await predictSpine(
    world.db,
    await loadCatalog(world.db),
    options,
    (batch) => void batches.push(batch),
  )
  const column = (of: 'spine' | 'predictions', i: number) => batches.flatMap((batch) => [...(batch[of][i] ?? [])])
  return { summary, batches, column }
}

describe('predictSpine', () => {
  it('gives what the server answers at each moment, for each spine row in order', async () => {
    const { summary, batches, column } = await predict('echo', 'select id, airport, at, distance, label from spine order by id')
    expect(summary).toMatchObject({ rows: 144, refused: 0, version: { model: 'echo', version: 2 }, outputs: [{ name: 'out' }] })
    expect(batches[0]?.columns.map((each) => each.name)).toEqual(expect.arrayContaining(['id', 'airport', 'at', 'distance', 'label']))
    const at = (name: string) => column('spine', batches[0]?.columns.findIndex((each) => each.name === name) ?? -1)
    const [airports, times, distances, labels] = [at('airport'), at('at'), at('distance'), at('label')]
    expect(labels).toEqual(Array.from({ length: 144 }, (_, i) => (i + 1) % 2 === 0))
    const outs = column('predictions', 0)
    for (let row = 0; row < 144; row += 5) {
      const { body } = await ask(url, '/v1/predict', {
        model: 'echo',
        asOf: times[row],
        entities: [{ airport: airports[row], distance: distances[row] }],
      })
      const [{ out } = { out: null }] = body.predictions
      const served = (out as (number | null)[]).map((value) => value ?? Number.NaN)
      expect([...(outs[row] as Float32Array)]).toEqual(served)
    }
    expect(outs.some((out) => Number.isNaN((out as Float32Array)[0]))).toBe(true)
    expect(outs.some((out) => Number((out as Float32Array)[0]) > 0)).toBe(true)
  })

  it('answers any number of rows in several runs, each equal to a single run', async () => {
    const once = (await predict('echo', 'select airport, at, distance from spine order by id')).column('predictions', 0)
    const sql = 'select airport, at, distance from spine, generate_series(0, 9) time order by time, id'
    const often = (await predict('echo', sql)).column('predictions', 0)
    expect(often).toEqual(Array.from({ length: 10 }, () => once).flat())
  })

  it('gives what the server answers for a model whose rows depend on each other', async () => {
    const { column, batches } = await predict('echo@1', 'select airport, at, distance from spine order by id')
    const [airports, times, distances] = ['airport', 'at', 'distance'].map((name) =>
      column('spine', batches[0]?.columns.findIndex((each) => each.name === name) ?? -1),
    )
    const outs = column('predictions', 0)
    for (let row = 0; row < 144; row += 24) {
      const entities = [{ airport: airports?.[row], distance: distances?.[row] }]
      const { body } = await ask(url, '/v1/predict', { model: 'echo', version: 1, asOf: times?.[row], entities })
      const [{ out } = { out: null }] = body.predictions
      expect([...(outs[row] as Float32Array)]).toEqual((out as (number | null)[]).map((value) => value ?? Number.NaN))
    }
  })

  it('omits the prediction of a row without a required feature, and counts it', async () => {
    const { summary, column, batches } = await predict('strict', `select airport, at from spine order by id`)
    const airport = batches[0]?.columns.findIndex((each) => each.name === 'airport') ?? -1
    const known = column('spine', airport).map((name) => name !== 'A7' && name !== 'A8')
    const predicted = column('predictions', 0)
    // a delay may be null in the newest row, which is missing too
    predicted.forEach((value, row) => expect(value === null || known[row]).toBe(true))
    expect(summary.refused).toBe(predicted.filter((value) => value === null).length)
    expect(summary.refused).toBeGreaterThanOrEqual(known.filter((there) => !there).length)
    expect(summary.refused).toBeLessThan(summary.rows)
  })

  it('copies the named columns of the spine, so that others may have the names of outputs and features', async () => {
    const all = await predict('echo', 'select id, airport, at, distance from spine order by id')
    const [feature] = all.summary.service.features
    const sql = `select id, airport, at, distance, 1 as out, 2 as "${feature?.name}" from spine order by id`
    const { summary, batches, column } = await predict('echo', sql, ['at', 'id'])
    expect([summary.columns, batches[0]?.columns].map((columns) => columns?.map(({ name }) => name))).toEqual([
      ['at', 'id'],
      ['at', 'id'],
    ])
    expect(column('spine', 1)).toEqual(Array.from({ length: 144 }, (_, i) => i + 1))
    expect(column('predictions', 0)).toEqual(all.column('predictions', 0))
    await expect(predict('echo', sql, ['nothing'])).rejects.toMatchObject({ code: 'SPINE_INVALID' })
  })

  it('refuses a spine with a column named like an output, or without the time', async () => {
    await expect(predict('echo', 'select airport, at, distance, 1 as out from spine')).rejects.toMatchObject({ code: 'SPINE_INVALID' })
    await expect(predict('echo', 'select airport, distance from spine')).rejects.toMatchObject({ code: 'SPINE_INVALID' })
    await expect(predict('ehco', 'select 1')).rejects.toMatchObject({ code: 'UNKNOWN_DEFINITION' })
  })
})

describe('backfillPredictions', () => {
  const day = 86_400_000_000
  const config = { logRetentionDays: 30, rollupDays: { minute: 7, hour: 90, day: 730 } }
  const sql = `select 'p' || id as id, airport, at, distance from spine order by id`
  const now = noon + 20 * day

  type Options = { sql?: string; id?: string; model?: string; shiftMicros?: number; by?: Actor; db?: Database; hours?: number }
  async function backfill({ sql: spine = sql, model = 'delay', db = world.db, hours = 90, ...rest }: Options = {}) {
    const kept = { ...config, rollupDays: { ...config.rollupDays, hour: hours } }
    return await backfillPredictions(db, await loadCatalog(world.db), kept, {
      model,
      spine: { sql: spine },
      time: 'at',
      ...(spine === sql ? { id: 'id' } : {}),
      now,
      log,
      ...rest,
    })
  }
  const logged = () =>
    world.db.query<{ rows: number; first: string; last: string; ids: number }>(
      `select count(*)::int as rows, min(at)::text as first, max(at)::text as last, count(distinct prediction_id)::int as ids
       from lockstep.prediction_log where role = 'backfill' and model = 'delay' and as_of < '2001-07-02'`,
    )

  it('logs past rows as answers of their moments, with rollups by hour, and replaces an earlier run', async () => {
    for (let run = 0; run < 2; run++) {
      const { logged: rows, refused, outside, window } = await backfill({ shiftMicros: 10 * day })
      expect({ rows, refused, outside, window }).toEqual({
        rows: 144,
        refused: 0,
        outside: 0,
        window: { from: noon + 9.5 * day, to: noon + 10 * day + 3.6e9 },
      })
      expect(await logged()).toEqual([{ rows: 144, first: '2001-07-11 00:05:00+00', last: '2001-07-11 12:00:00+00', ids: 144 }])
      const days = { model: 'delay', from: noon + 9 * day, to: noon + 11 * day }
      const rollup = await readRollup(world.db, { ...days, roles: ['backfill'] })
      expect({ requests: rollup.requests, rows: rollup.rows, minutes: rollup.coverage.minutes }).toEqual({
        requests: 144,
        rows: 144,
        minutes: 13 * 60,
      })
      const [mean] = await world.db.query<{ mean: number }>(
        `select avg((outputs->>'probabilities')::float8) as mean from lockstep.prediction_log where role = 'backfill' and model = 'delay' and outputs->>'probabilities' <> 'NaN'`,
      )
      expect(rollup.columns.get('output:probabilities')?.moments?.mean).toBeCloseTo(mean?.mean ?? Number.NaN, 10)
      // clients asked for none of them
      expect(await readRollup(world.db, days)).toMatchObject({ requests: 0, rows: 0 })
      expect(await readRollupGroups(world.db, days, ['role'])).toMatchObject([{ role: 'backfill', rollup: { requests: 144 } }])
    }
    // the hours count as measured for these rows only, and not for what clients asked of this model or of others
    const series = async (query: { model: string; roles?: readonly ['backfill'] }) => {
      const points = await rollupSeries(world.db, { ...query, from: noon + 9.5 * day, to: noon + 10.5 * day, step: 'hour' })
      return points.map(({ rollup }) => rollup?.requests ?? null)
    }
    const gaps = Array.from({ length: 24 }, () => null)
    expect(await series({ model: 'delay' })).toEqual(gaps)
    expect(await series({ model: 'echo' })).toEqual(gaps)
    const ofRows = await series({ model: 'delay', roles: ['backfill'] })
    expect([ofRows.slice(0, 13).reduce((sum: number, each) => sum + (each ?? 0), 0), ofRows.slice(13)]).toEqual([144, gaps.slice(13)])
  })

  it('keeps what an earlier run wrote where a run fails, and every row once where two run at once', async () => {
    const written = async () => {
      const window = { model: 'delay', roles: ['backfill'], from: noon + 9 * day, to: noon + 11 * day } as const
      return [(await logged())[0]?.rows, (await readRollup(world.db, window)).requests]
    }
    const failing: Database = {
      ...world.db,
      async copyIn(copy, chunks, around) {
        async function* breaking() {
          yield* chunks
          throw new Error('The disk broke.')
        }
        return await world.db.copyIn(copy, copy === copyPredictions ? breaking() : chunks, around)
      },
    }
    await expect(backfill({ shiftMicros: 10 * day, db: failing })).rejects.toThrow('The disk broke.')
    expect(await written()).toEqual([144, 144])
    await Promise.all(['one', 'other'].map((reason) => backfill({ shiftMicros: 10 * day, by: { actor: "o'hara@host", reason } })))
    expect(await written()).toEqual([144, 144])
    const audited = await readAudit(world.db, { what: 'predictions.backfill', who: "o'hara", limit: 10 })
    const after = { from: '2001-07-11T00:00:00Z', to: '2001-07-11T13:00:00Z', rows: 144 }
    expect(new Set(audited.map(({ reason }) => reason))).toEqual(new Set(['one', 'other']))
    expect(audited.map((each) => [each.subject, each.after])).toEqual([
      ['delay@1', after],
      ['delay@1', after],
    ])
    // hours are kept for fewer days: the rows count in their day
    expect((await backfill({ shiftMicros: 10 * day, hours: 5 })).window).toEqual({ from: noon + 9.5 * day, to: noon + 10.5 * day })
    expect(await written()).toEqual([144, 144])
    await backfill({ shiftMicros: 10 * day })
  })

  it('logs no row of an entity that is erased meanwhile', async () => {
    const [{ salt } = { salt: Buffer.alloc(0) }] = await world.db.query<{ salt: Buffer }>('select salt from lockstep.installation')
    const hash = erasedKeyHash(salt, loggedEntity('airport', encodeKey([{ name: 'airport', type: { kind: 'string' } }], ['A1'])))
    await world.db.query(`insert into lockstep.erasures (entity, key_hash, receipt) values ('airport', $1, '{}')`, [hash])
    await backfill({ shiftMicros: 10 * day })
    expect(await logged()).toMatchObject([{ rows: 128 }])
    await world.db.query('delete from lockstep.erasures where key_hash = $1', [hash])
    await backfill({ shiftMicros: 10 * day })
  })

  it('logs the features that the history has, which parity checks leave out', async () => {
    const options = { model: 'delay', since: noon, until: now, limit: 1000, order: 'random' } as const
    const checked = async () => {
      const { vectors, skipped, examples } = await checkParity(world.db, await loadCatalog(world.db), options)
      return { vectors, skipped, examples }
    }
    const skipped = { definitions: 0, degraded: 0, unreadable: 0 }
    expect(await checked()).toEqual({ vectors: 0, skipped, examples: [] })
    const rename = async (from: string, to: string) =>
      await world.db.query('update lockstep.prediction_log set role = $2 where role = $1', [from, to])
    await rename('backfill', 'requested')
    expect(await checked()).toEqual({ vectors: 144, skipped, examples: [] })
    await rename('requested', 'backfill')
  })

  it('leaves out rows that a server would refuse, that the log no longer keeps or that are not past', async () => {
    const outside = await backfill({
      sql: `select airport, at + id * interval '1 day' as at, distance from spine where id < 30 union all select airport, at - interval '40 days', distance from spine where id = 1`,
    })
    expect([outside.logged, outside.outside]).toEqual([20, 10])
    const lacking = await backfill({ sql: `select nullif(airport, 'A3') as airport, at, distance from spine` })
    expect(lacking.logged + lacking.refused).toBe(144)
    expect(lacking.refused).toBe(16)
    const strict = await backfill({ model: 'strict' })
    expect([strict.logged + strict.refused, strict.refused > 0]).toEqual([144, true])
  })

  it('refuses a spine that gives two rows one id, and leaves the log as it was', async () => {
    const [before] = await logged()
    const repeated = 'select airport, at, distance, (id % 100)::text as name from spine'
    await expect(backfill({ sql: repeated, id: 'name', shiftMicros: 10 * day })).rejects.toMatchObject({
      code: 'SPINE_INVALID',
      message: expect.stringMatching(/^Several rows of the spine have the id "\d+".+ Nothing was logged\./),
    })
    expect(await logged()).toEqual([before])
  })

  it('refuses an id that is empty', async () => {
    const empty = `select airport, at, distance, '' as name from spine`
    await expect(backfill({ sql: empty, id: 'name', shiftMicros: 10 * day })).rejects.toThrow('must be texts that are not empty')
  })

  it('refuses an id column that the spine lacks', async () => {
    const named = { model: 'delay', spine: { sql: 'select airport, at, distance from spine' }, time: 'at', id: 'ids', now, log }
    await expect(backfillPredictions(world.db, await loadCatalog(world.db), config, named)).rejects.toThrow(
      'The spine has no column "ids". Its columns are',
    )
  })
})

describe('predictSpine that is stopped', () => {
  it('ends the run under way', async () => {
    // no run ends before it is stopped
    await applyChanges(world.db, withRunTimeout(servingSet, 600_000_000))
    const version = await world.push('echo', endlessModel())
    const stop = new AbortController()
    // "pressure", the number of rounds, is the delay divided by the distance
    const sql = `select airport, at, 1e-17::float8 as distance from spine where id > 100`
    const options = { model: 'echo', version, spine: { sql }, time: 'at', log, signal: stop.signal }
    const predicted = predictSpine(world.db, await loadCatalog(world.db), options, () => undefined)
    const runs = until(async () => Math.max(0, ...childSeconds()) > 2, 150_000)
    // one that fails before that says why
    await Promise.race([runs, predicted])
    const stopped = performance.now()
    stop.abort(new Error('stopped'))
    await expect(predicted).rejects.toThrow('stopped')
    expect(performance.now() - stopped).toBeLessThan(60_000)
  })
})

/** The processor time of each child process. Only a model that is running takes long. */
function childSeconds(): number[] {
  const pids = readdirSync('/proc/self/task').flatMap((task) => readFileSync(`/proc/self/task/${task}/children`, 'utf8').split(' '))
  return pids.filter(Boolean).map((pid) => {
    try {
      // field 14 of proc(5), in hundredths; the name before may contain spaces
      return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[11]) / 100
    } catch {
      return 0 // it has ended
    }
  })
}
