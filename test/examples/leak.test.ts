import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { auc } from '../../examples/flights/auc.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { DatasetOptions } from '../../offline/datasets/dataset.ts'
import { createDataset } from '../../offline/datasets/dataset.ts'
import { openTabularFile } from '../../offline/files/tabular-file.ts'
import { during } from '../opened-database.ts'
import { openFlights } from './flights.ts'
import { logisticRegression } from './logistic-regression.ts'

const trainedBefore = Date.UTC(2001, 0, 22) * 1000
const flights = during(() => openFlights(Date.UTC(2001, 0, 29) * 1000))
let service: ServicePlan

beforeAll(() => {
  service = flights().catalog.service('flight_features')
})

type TimeOptions = Pick<DatasetOptions, 'knowledge' | 'freshness' | 'asOf'>

/**
 * The AUC on the fourth week of January of a small model of the delays that were last seen, trained on the three weeks
 * before.
 */
async function aucOf(options: TimeOptions): Promise<number> {
  const { db, folder, sample } = flights()
  const out = join(folder, 'set.parquet')
  await createDataset(db, service, { spine: { file: sample }, ...options, out, overwrite: true })
  const names = service.features.map(({ name }) => name).filter((name) => /Delay|Share/.test(name))
  const file = await openTabularFile(out)
  const train: { readonly row: (number | null)[]; readonly late: boolean }[] = []
  const test: typeof train = []
  for await (const batch of file.batches(['date', 'delay', ...names])) {
    for (let i = 0; i < batch.rows; i += 4) {
      const [date, delay, ...values] = batch.columns.map((column) => column[i])
      const row = values.map((value) => (typeof value === 'number' ? value : null))
      ;(Number(date) < trainedBefore ? train : test).push({ row, late: Number(delay) > 15 })
    }
  }
  const score = logisticRegression(
    train.map(({ row }) => row),
    train.map(({ late }) => late),
  )
  return auc(
    test.map(({ row }) => score(row)),
    test.map(({ late }) => late),
  )
}

describe('delays that are taken as known at departure', () => {
  it('raise AUC falsely: slightly for flights in the air, to near 1 for the own label', async () => {
    const honest = await aucOf({ asOf: 'before' })
    const inTheAir = await aucOf({ asOf: 'before', knowledge: 'latest' })
    const ownLabel = await aucOf({ asOf: 'at', knowledge: 'latest', freshness: 'ideal' })
    expect(honest).toBeGreaterThan(0.72)
    expect(honest).toBeLessThan(0.78)
    expect(inTheAir - honest).toBeGreaterThan(0.01)
    expect(ownLabel).toBeGreaterThan(0.95)
  })

  it('are refused if the spine has the same table, unless the own moment is excluded', async () => {
    const spine = { sql: 'select date, origin, destination, distance, delay > 15 as late from flights limit 10' }
    const { db, folder } = flights()
    const out = join(folder, 'refused.parquet')
    await expect(createDataset(db, service, { spine, out })).rejects.toMatchObject({ code: 'LABEL_LEAK' })
    expect((await createDataset(db, service, { spine, out, asOf: 'before' })).file.rows).toBe(10)
  })
})
