import { dayOf, predictionPartitions } from '../../monitoring/day-partitions.ts'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { encodeKey } from '../../kernel/values/entity-key.ts'
import { eraseEntity } from '../../materializer/erase/erase-entity.ts'
import { loggedEntity } from '../../materializer/erase/logged-entity.ts'
import { forgetErased } from '../../monitoring/prediction-log/forget-erased.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import type { OpenedDatabase } from '../opened-database.ts'
import { openServer } from '../opened-database.ts'
import { load } from '../registry/definition-files.ts'

const definitions = `import { count, entity, featureService, featureView, model, outcome, source, t } from 'lockstep'
const card = entity('card', { key: { card: t.string } })
const shop = entity('shop', { key: { shop: t.string } })
const payments = source('payments', { key: { card: 'card' }, eventTime: 'at', columns: { amount: t.float64 } })
const spending = featureView('spending', { version: 1, entity: card, source: payments, features: { paid1h: count('1h') } })
const service = featureService('fraud_features', { version: 1, features: [spending, spending.as('payee', { card: 'payee' })] })
const fraud = model('fraud', { service, output: { probability: t.float32 } })
const disputes = source('disputes', { key: { payee: 'got' }, eventTime: 'at', columns: { lost: t.float64 } })
const reports = source('reports', { key: { shop: 'shop' }, eventTime: 'at', columns: { prediction_id: t.string, bad: t.bool } })
const refunds = source('refunds', { table: 'refunds', key: {}, eventTime: 'at', columns: { prediction_id: t.string, bad: t.bool } })
export const ofShop = featureView('of_shop', { version: 1, entity: shop, source: reports, online: true, features: { reports1h: count('1h') } })
export const chargeback = outcome('chargeback', { model: fraud, value: t.bool, within: '1d', missing: false })
export const disputed = outcome('disputed', { model: fraud, source: disputes, match: 'entity', value: 'lost', within: '1d', missing: 0 })
const byId = { model: fraud, match: 'prediction', predictionId: 'prediction_id', value: 'bad', within: '1d' } as const
export const reported = outcome('reported', { ...byId, source: reports })
export const refunded = outcome('refunded', { ...byId, source: refunds })
`

let opened: OpenedDatabase
let catalog: Catalog
beforeAll(async () => {
  opened = await openServer()
  await opened.db.script('CREATE TABLE refunds (at timestamptz, prediction_id text, bad boolean)')
  await applyChanges(opened.db, await load({ 'features.ts': definitions }))
  catalog = await loadCatalog(opened.db)
  const now = Date.now() * 1000
  // midnight may pass
  await predictionPartitions.create(opened.db, new Set([dayOf(now), dayOf(now + 86_400_000_000)]))
})
afterAll(() => opened?.close())

/** Logs a prediction of a payment from one card to another. */
async function logPrediction(id: string, from: string, to: string): Promise<void> {
  const entities = [from, to].map((card) => loggedEntity('card', encodeKey([{ name: 'card', type: { kind: 'string' } }], [card])))
  await opened.db.query(
    `INSERT INTO lockstep.prediction_log (at, request_id, prediction_id, entity, model, version, service, service_fingerprint, as_of,
       entities, keys, request, features, statuses, reads, outputs, latency_micros, degraded, skewed)
     VALUES (now(), $1, $1, 0, 'fraud', 1, 'fraud_features@1', '', now(), $2, $3, '{}', '{}', '{}', '[]', '{}', 1, false, false)`,
    [id, entities, JSON.stringify({ card: from, payee: to })],
  )
}

const idsIn = async (table: string) =>
  (await opened.db.query<{ id: string }>(`SELECT prediction_id AS id FROM ${table} ORDER BY 1`)).map(({ id }) => id)

async function addOutcomes(ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    await opened.db.query('INSERT INTO lockstep_source.chargeback (prediction_id, at, value) VALUES ($1, now(), true)', [id])
    await opened.db.query(
      `INSERT INTO lockstep_source.reports (shop, at, prediction_id, bad) VALUES ('s' || left($1, 1), now(), $1, true)`,
      [id],
    )
    await opened.db.query('INSERT INTO refunds VALUES (now(), $1, true)', [id])
  }
}

it('erasing an entity deletes the outcomes of its predictions, and its rows by any name', async () => {
  const { db } = opened
  await logPrediction('a/0', 'A', 'B')
  await logPrediction('b/0', 'B', 'A')
  await logPrediction('c/0', 'C', 'B')
  await addOutcomes(['a/0', 'b/0', 'c/0'])
  await db.query(`INSERT INTO lockstep_source.disputes (got, at, lost) VALUES ('A', now(), 1), ('B', now(), 2)`)
  await db.query(
    `INSERT INTO lockstep.stream_dead_letters (source, stream, message, body, size_bytes, reason, error)
     SELECT source, 's', body, convert_to(body, 'UTF8'), octet_length(body), 'r', 'e' FROM (VALUES ('reports', '{"p":"a/0"}'),
       ('chargeback', '{"p":"b\\/0"}'), ('chargeback', '{"p":"c/0"}'), ('reports', '{"p":"\\u0061\\u002f0"}'), ('payments', '{"p":"a/0"}')) AS d (source, body)`,
  )
  const receipt = await eraseEntity(db, catalog, catalog.entities.get('card') as never, ['A'], new Date())
  expect(receipt.parts).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ what: 'removed', where: 'lockstep_source."chargeback"', count: 2 }),
      expect.objectContaining({ what: 'removed', where: 'lockstep_source."reports"', count: 2 }),
      expect.objectContaining({ what: 'renewed', where: 'of_shop@1', count: 2 }),
      expect.objectContaining({ what: 'removed', where: 'lockstep_source."disputes"', count: 1 }),
      expect.objectContaining({ what: 'removed', where: 'lockstep.stream_dead_letters', count: 3 }),
      expect.objectContaining({ what: 'removed', where: 'lockstep.prediction_log', count: 2 }),
      expect.objectContaining({ what: 'kept', where: '"refunds"', count: 2 }),
    ]),
  )
  for (const table of ['lockstep_source.chargeback', 'lockstep_source.reports', 'lockstep.prediction_log'])
    expect(await idsIn(table)).toEqual(['c/0'])
  expect(await db.query('SELECT got FROM lockstep_source.disputes')).toEqual([{ got: 'B' }])
  const letters = await db.query<{ message: string }>('SELECT message FROM lockstep.stream_dead_letters ORDER BY 1')
  expect(letters.map(({ message }) => message)).toEqual(['{"p":"a/0"}', '{"p":"c/0"}'])
})

it('predictions that are logged during an erasure are deleted with their outcomes', async () => {
  const since = Date.now()
  await logPrediction('d/0', 'A', 'D')
  await addOutcomes(['d/0'])
  const named = loggedEntity('card', encodeKey([{ name: 'card', type: { kind: 'string' } }], ['A']))
  await forgetErased(opened.db, since, [named])
  expect(await idsIn('lockstep.prediction_log')).toEqual(['c/0'])
  expect(await idsIn('lockstep_source.chargeback')).toEqual(['c/0'])
  // a view has counted it
  expect(await idsIn('lockstep_source.reports')).toEqual(['c/0', 'd/0'])
})
