import { expect, test } from 'vitest'
import { planChanges } from '../../registry/changes/plan.ts'
import { during, openServer } from '../opened-database.ts'
import { load } from './definition-files.ts'

const definitions = `import { count, entity, featureService, featureView, model, outcome, source, t } from 'lockstep'
const card = entity('card', { key: { card: t.string } })
const payments = source('payments', { key: { card: 'card' }, eventTime: 'at', columns: { amount: t.float64 } })
const spending = featureView('spending', { version: 1, entity: card, source: payments, features: { paid1h: count('1h') } })
const service = featureService('fraud_features', { version: 1, features: [spending] })
const fraud = model('fraud', { service, output: { probability: t.float32 } })
const columns = { prediction_id: t.string, bad: t.bool }
const byId = { model: fraud, match: 'prediction', predictionId: 'prediction_id', value: 'bad', within: '1d' } as const
export const refunded = outcome('refunded', { ...byId, source: source('refunds', { table: 'refunds', key: {}, eventTime: 'at', columns }) })
export const viewed = outcome('viewed', { ...byId, source: source('viewed', { table: 'view_of_refunds', key: {}, eventTime: 'at', columns }) })
`

const opened = during(() => openServer())

test("a plan notes that a user's table has no index on the ids of predictions", async () => {
  const { db } = opened()
  await db.script(
    'CREATE TABLE refunds (at timestamptz, prediction_id text, bad boolean); CREATE VIEW view_of_refunds AS SELECT * FROM refunds',
  )
  const notes = async () =>
    (await planChanges(db, await load({ 'features.ts': definitions }))).notes.filter((note) => note.includes('INDEX'))
  expect(await notes()).toEqual([expect.stringContaining('CREATE INDEX ON "refunds" ("prediction_id")')])
  await db.script('CREATE INDEX ON refunds (at, prediction_id)')
  expect(await notes()).toHaveLength(1)
  for (const unfit of [
    '(lower(prediction_id))',
    'USING brin (prediction_id)',
    '(prediction_id) WHERE bad',
    '(at) INCLUDE (prediction_id)',
  ]) {
    await db.script(`CREATE INDEX unfit ON refunds ${unfit}`)
    expect(await notes(), unfit).toHaveLength(1)
    await db.script('DROP INDEX unfit')
  }
  // what a failed CREATE INDEX CONCURRENTLY leaves
  await db.script(
    `CREATE INDEX broken ON refunds (prediction_id); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass`,
  )
  expect(await notes()).toHaveLength(1)
  await db.script('DROP INDEX broken')
  for (const fit of [
    '(prediction_id, at)',
    '(prediction_id DESC)',
    '(prediction_id) INCLUDE (bad)',
    '(prediction_id) WHERE prediction_id IS NOT NULL',
    'USING hash (prediction_id)',
  ]) {
    await db.script(`CREATE INDEX fit ON refunds ${fit}`)
    expect(await notes(), fit).toEqual([])
    await db.script('DROP INDEX fit')
  }
})
