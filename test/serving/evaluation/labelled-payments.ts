import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDataset } from '../../../offline/datasets/dataset.ts'
import type { DatasetManifest } from '../../../offline/datasets/dataset-manifest.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { load } from '../../registry/definition-files.ts'
import type { World } from '../world.ts'
import { createWorld } from '../world.ts'

/** 2026-03-02T00:00:00Z, epoch microseconds. */
export const start = Date.UTC(2026, 2, 2) * 1000
export const rowCount = 900

const definitions = `import { count, entity, featureService, featureView, last, mean, model, outcome, source, t } from 'lockstep'
const card = entity('card', { key: { card: t.string } })
const payments = source('payments', { key: { card: 'card' }, eventTime: 'paid_at', columns: { amount: t.float64, shift: t.float64 } })
const spending = featureView('spending', {
  version: 1, entity: card, source: payments,
  features: { amount: last('amount', { required: true }), shift: last('shift', { default: 0 }), mean1d: mean('amount', '1d', { default: 0 }) },
})
const recent = featureView('recent', {
  version: 1, entity: card, source: payments,
  features: { amount: last('amount'), shift: last('shift', { default: 0 }), paid1d: count('1d') },
})
export const service = featureService('fraud_features', { version: 1, features: [spending] })
export const other = featureService('other_features', { version: 1, features: [recent] })
export const fraud = model('fraud', {
  service, output: { probabilities: t.float32, label: t.int64 }, slices: { size: { column: 'mean1d', at: [0] } },
})
export const later = model('later', { service: other, output: { probabilities: t.float32 } })
const reports = source('reports', {
  key: { card: 'card' }, eventTime: 'at', columns: { card: t.string, prediction_id: t.string, fraud: t.bool },
})
export const reported = outcome('reported', {
  model: fraud, output: 'probabilities', source: reports, match: 'prediction', predictionId: 'prediction_id', value: 'fraud', within: '1d',
})
`

/** The columns of the spine: some rows have no label, some no payment before them. */
export const spine = 'select id, card, at, fraud, error, kind from labels order by id'

export interface LabelledPayments {
  readonly world: World
  readonly folder: string
  readonly catalog: Catalog
  /** A training set of the labels in one file. */
  dataset(name: string, split?: readonly number[]): Promise<DatasetManifest>
  close(): Promise<void>
}

/** Payments of 30 cards with labels, and two versions of a model: a logistic regression and a network. */
export async function createLabelledPayments(): Promise<LabelledPayments> {
  const world = await createWorld('embedded', await load({ 'features.ts': definitions }))
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-evaluate-'))
  // the models were trained on a label of 1.5 a - 2 b + 0.5 c + 0.3 > 0
  await world.db.script(`SELECT setseed(0.3);
    INSERT INTO lockstep_source.payments (card, paid_at, amount, shift)
    SELECT 'c' || i % 30, to_timestamp(${start / 1e6}) + i * interval '90 seconds', random() - 0.5, random() - 0.5
    FROM generate_series(0, ${rowCount}) i;
    CREATE TABLE labels AS
    SELECT i AS id, 'c' || i % 33 AS card, to_timestamp(${start / 1e6}) + (i + 31) * interval '90 seconds' AS at,
      CASE WHEN i % 17 = 0 THEN null ELSE random() < CASE WHEN i % 3 = 0 THEN 0.7 ELSE 0.3 END END AS fraud,
      random() AS error, CASE WHEN i % 4 = 0 THEN 'shop' ELSE 'web' END AS kind
    FROM generate_series(0, ${rowCount - 1}) i`)
  await world.push('fraud', 'logistic')
  await world.push('fraud', 'mlp')
  const catalog = await loadCatalog(world.db)
  return {
    world,
    folder,
    catalog,
    dataset: (name, split = []) =>
      createDataset(world.db, catalog.service('fraud_features'), { spine: { sql: spine }, time: 'at', out: join(folder, name), split }),
    async close() {
      await world.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
