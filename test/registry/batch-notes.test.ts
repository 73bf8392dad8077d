import { expect, test } from 'vitest'
import { planChanges } from '../../registry/changes/plan.ts'
import { during, openServer } from '../opened-database.ts'
import { load } from './definition-files.ts'

const definitions = (
  relation: string,
) => `import { batch, count, entity, featureService, featureView, model, onDemandView, source, t } from 'lockstep'
const card = entity('card', { key: { card: t.string } })
const payments = source('payments', { ${relation}key: { card: 'card' }, eventTime: 'at' })
const spending = featureView('spending', { version: 1, entity: card, source: payments, features: { paid1h: count('1h') } })
export const context = onDemandView('context', {
  version: 1, inputs: { past: spending }, features: { often: t.bool }, transform: ({ past }) => ({ often: past.paid1h > 2 }),
})
const service = featureService('fraud_features', { version: 1, features: [context] })
const fraud = model('fraud', { service, output: { probability: t.float32 } })
export const nightly = batch('nightly', {
  model: fraud, spine: { sql: 'select card, at from cards' }, out: 's3://ml/scores/day={date}', rowsPerPart: 5000, schedule: '0 2 * * *',
})
`

const opened = during(() => openServer())

test('a plan notes a scheduled batch that fails once it needs several parts', async () => {
  const { db } = opened()
  await db.script('CREATE TABLE payments (card text, at timestamptz)')
  const notes = async (relation: string) =>
    (await planChanges(db, await load({ 'features.ts': definitions(relation) }))).notes.filter((note) => note.includes('nightly'))
  expect(await notes("table: 'payments', ")).toEqual([
    'The batch "nightly" reads the source "payments", whose table has no column "_xid". It fails with NOT_REPRODUCIBLE at the first instant at which its spine has over 5,000 rows, because it then needs several parts. Add "_row" and "_xid" to the table, or set rowsPerPart to more rows than its spine will have.',
  ])
  expect(await notes("sql: 'select * from payments', ")).toEqual([
    expect.stringContaining('whose query cannot have "_xid". It fails with NOT_REPRODUCIBLE'),
  ])
  expect(await notes('')).toEqual([])
  await db.script(`ALTER TABLE payments ADD COLUMN _row bigint GENERATED ALWAYS AS IDENTITY, ADD COLUMN _xid xid8 NOT NULL DEFAULT '0'`)
  expect(await notes("table: 'payments', ")).toEqual([])
})
