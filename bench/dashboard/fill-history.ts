import { createServedBaseline } from '../../monitoring/baselines/create-baseline.ts'
import { rollupPartitions } from '../../monitoring/day-partitions.ts'
import { storeModelFigures } from '../../monitoring/figures/figures-job.ts'
import { storeFigures } from '../../monitoring/figures/stored-figures.ts'
import { createJudge } from '../../monitoring/quality/judge.ts'
import { createPredictionJudge } from '../../monitoring/quality/judge-predictions.ts'
import { mergeRollups } from '../../monitoring/rollups/merge-rollups.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { createLogger } from '../../runtime/log.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { createRandom } from '../../statistics/random.ts'

const dayMicros = 86_400_000_000
const model = 'score'
const [historyHours, figureDays] = [26, 30]

/**
 * Gives a server that was just set up the history that pages show: a day of rollups, and a month of hourly figures.
 *
 * @param answer answers a few seconds of predictions and ends, so that their minute is written
 */
export async function fillHistory(db: Database, answer: () => Promise<void>): Promise<void> {
  const began = Date.now() * 1000
  await answer()
  const catalog = await loadCatalog(db)
  const { versions } = catalog.model(model)
  const tools = { db, catalog, log: createLogger('silent') }
  for (const version of versions) await createServedBaseline(tools, version, { from: began, to: Date.now() * 1000 })
  await db.query('delete from lockstep.rollups')
  // now rows are counted by the bins of the baseline
  await answer()
  const today = Math.floor(Date.now() / 86_400_000)
  await rollupPartitions.create(db, [today - 2, today - 1, today, today + 1])
  const minute = `(select max(at) from lockstep.rollups where model = '${model}')`
  await db.query(`delete from lockstep.rollups where at <> ${minute}`)
  await db.query(
    `insert into lockstep.rollups (at, process, model, version, role, ended, traffic, columns)
     select at - n * interval '1 minute', process, model, version, role, false, traffic, columns
     from lockstep.rollups, generate_series(1, ${historyHours * 60}) n`,
  )
  const now = Date.now() * 1000
  await mergeRollups(db, { minute: 2, hour: 60, day: 400 }, now)
  await storeModelFigures(db, catalog, catalog.model(model), now)
  await storeFigures(db, 'quality', { model, version: 1, asOf: new Date(), report: await qualityAt(now) })
  await db.query(
    `insert into lockstep.model_figures (model, kind, version, as_of, report, figures)
     select model, kind, version, as_of - n * interval '1 hour', report, figures from lockstep.model_figures, generate_series(1, ${figureDays * 24}) n`,
  )
  await db.query('analyze')
}

/** The report that a week of outcomes would have: the model of the bench has none. */
async function qualityAt(now: number): Promise<Parameters<typeof storeFigures<'quality'>>[2]['report']> {
  const random = createRandom(3)
  const output = { name: 'score', type: { kind: 'float32' } } as const
  const judge = createJudge({ model, output, outcomeType: { kind: 'bool' }, threshold: 0.5, first: [] })
  const { add, finish } = createPredictionJudge({ judge, by: [], first: [] })
  const row = { at: now, version: 1, role: 'champion', columns: {}, amounts: [], matched: true, mature: true }
  for (let entity = 0; entity < 20_000; entity++) {
    const score = random.next()
    add({ ...row, entity, output: score, outcome: random.next() < score })
  }
  return {
    model,
    outcome: 'label',
    kind: judge.kind,
    output: output.name,
    threshold: 0.5,
    from: formatTimestamp(now - 7 * dayMicros),
    to: formatTimestamp(now),
    asOf: formatTimestamp(now),
    answered: 20_000,
    withinMicros: dayMicros,
    missing: null,
    ...(await finish()),
  }
}
