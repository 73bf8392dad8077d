import { afterAll, beforeAll, expect, it } from 'vitest'
import { figuresOverTime, newestFigures, storeFigures } from '../../monitoring/figures/stored-figures.ts'
import type { QualityReport } from '../../monitoring/quality/quality-report.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { type TestDatabase, testDatabase } from '../services/index.ts'

let database: TestDatabase
let db: Database
beforeAll(async () => {
  database = await testDatabase()
  db = openPostgres(database.url)
})
afterAll(async () => {
  await db?.close()
  await database?.drop()
})

const hour = (n: number): Date => new Date(Date.UTC(2040, 0, 1, n))
const all = { from: hour(0).getTime() * 1000, to: hour(1000).getTime() * 1000 }
const figure = (value: number | null) => ({ value, low: null, high: 1 / 3, n: 2 ** 40, reason: null })

it('The figures over time are those of the reports, whenever these were stored', async () => {
  const reports = [
    { version: 1, asOf: hour(1), figures: { auc: figure(0.1 + 0.2), Brier: figure(null) } },
    { version: 2, asOf: hour(1), figures: { auc: figure(5e-324) } },
    { version: 1, asOf: hour(2), figures: {} },
    { version: 1, asOf: hour(3), figures: { 'net gain': figure(-1e300) } },
  ]
  for (const { version, asOf, figures } of reports) {
    const report = { total: { figures } } as unknown as QualityReport
    await storeFigures(db, 'quality', { model: 'm', version, asOf, report })
  }
  const { reason: _, ...rest } = figure(0)
  const expected = [
    { asOf: hour(1), version: 1, figure: 'Brier', ...rest, value: null },
    { asOf: hour(1), version: 1, figure: 'auc', ...rest, value: 0.1 + 0.2 },
    { asOf: hour(1), version: 2, figure: 'auc', ...rest, value: 5e-324 },
    { asOf: hour(3), version: 1, figure: 'net gain', ...rest, value: -1e300 },
  ]
  expect(await figuresOverTime(db, 'm', all)).toEqual(expected)

  // an earlier build wrote half of the rows
  await db.query('update lockstep.model_figures set figures = null where version = 1 and as_of < $1', [hour(3)])
  expect(await figuresOverTime(db, 'm', all)).toEqual(expected)
  // no report is parsed where the figures stand beside it
  await db.query(`update lockstep.model_figures set report = '[]' where figures is not null`)
  expect(await figuresOverTime(db, 'm', all)).toEqual(expected)
})

it('Figures that are stored again replace those of the same moment', async () => {
  for (const value of [0.25, 0.75]) {
    const report = { total: { figures: { auc: figure(value) } } } as unknown as QualityReport
    await storeFigures(db, 'quality', { model: 'again', version: 1, asOf: hour(1), report })
  }
  expect((await figuresOverTime(db, 'again', all)).map(({ value }) => value)).toEqual([0.75])
  expect((await newestFigures(db, 'again', 'quality', all.to)).map(({ report }) => report.total.figures['auc']?.value)).toEqual([0.75])
})
