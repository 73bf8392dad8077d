import { dayOf, predictionPartitions } from '../../../monitoring/day-partitions.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { applyChanges } from '../../../registry/changes/apply.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import { load } from '../../registry/definition-files.ts'

export const hour = 3_600_000_000
/** 2026-03-02T00:00:00Z */
export const start = Date.UTC(2026, 2, 2) * 1000

/** Payments by card, a model of fraud, and an outcome of each kind. */
export const payments = `import { count, entity, featureService, featureView, model, outcome, source, t } from 'lockstep'
const card = entity('card', { key: { card: t.string } })
const payments = source('payments', { key: { card: 'card' }, eventTime: 'paid_at', columns: { amount: t.float64 } })
const spending = featureView('spending', { version: 1, entity: card, source: payments, features: { paid1h: count('1h') } })
const service = featureService('fraud_features', { version: 1, features: [spending] })
const fraud = model('fraud', {
  service, output: { probability: t.float32 }, slices: { paying: { column: 'paid1h', at: [2] }, known: { column: 'card', values: { trusted: ['c1', 'c2', 'c3'] } } },
})
const reports = source('reports', {
  key: { card: 'card' }, eventTime: 'happened_at', known: 'reported_at',
  columns: { prediction_id: t.string, loss: t.float64, is_fraud: t.bool },
})
const limit = 100
export const labelled = outcome('labelled', {
  model: fraud, source: reports, match: 'prediction', predictionId: 'prediction_id', value: 'is_fraud', within: '1d',
  figures: { loss: 'loss' },
})
export const costly = outcome('costly', {
  model: fraud, source: reports, match: 'prediction', predictionId: 'prediction_id', type: t.bool,
  value: (row) => (row.loss === null ? null : row.loss > limit), within: '1d', missing: false,
  figures: { loss: 'loss' },
})
export const lost = outcome('lost', {
  model: fraud, source: reports, match: 'entity', value: 'loss', within: '1d', missing: 0, figures: { first_loss: 'loss' },
})
export const lostLast = outcome('lost_last', {
  model: fraud, source: reports, match: 'entity', take: 'last', value: 'loss', within: '1d', missing: 'exclude',
})
export const chargeback = outcome('chargeback', { model: fraud, value: t.bool, within: '1d', missing: false })
`

export async function applyPayments(db: Database): Promise<Catalog> {
  await applyChanges(db, await load({ 'features.ts': payments }))
  return await loadCatalog(db)
}

/** Logs predictions of fraud, each of a card at an hour after `start`. */
export async function logPredictions(
  db: Database,
  rows: readonly {
    readonly id: string
    readonly card: string
    readonly atHour: number
    /** The hour that it is as of; default: that of the answer. */
    readonly asOfHour?: number
    readonly version?: number
    readonly probability?: number
    readonly role?: string
  }[],
): Promise<void> {
  await predictionPartitions.create(db, new Set(rows.map(({ atHour }) => dayOf(start + atHour * hour))))
  for (const { id, card, atHour, asOfHour = atHour, version = 1, probability = 0.5, role = 'champion' } of rows) {
    await db.query(
      `INSERT INTO lockstep.prediction_log (at, request_id, prediction_id, entity, model, version, service, service_fingerprint, as_of,
         entities, keys, request, features, statuses, reads, outputs, latency_micros, degraded, skewed, role)
       VALUES (to_timestamp($1), $2, $2, 0, 'fraud', $3, 'fraud_features@1', '', to_timestamp($6), '{}', $4, '{}', '{"paid1h":3}', '{}', '[]', $5, 1, false, false, $7)`,
      [
        (start + atHour * hour) / 1e6,
        id,
        version,
        JSON.stringify({ card }),
        JSON.stringify({ probability }),
        (start + asOfHour * hour) / 1e6,
        role,
      ],
    )
  }
}

/** Adds a row to the source `reports`; hours after `start`. */
export async function report(
  db: Database,
  row: {
    readonly card: string
    readonly id?: string
    readonly atHour: number
    readonly knownHour?: number
    readonly loss?: number | null
    readonly isFraud?: boolean | null
  },
): Promise<void> {
  const { card, id = null, atHour, knownHour = atHour, loss = null, isFraud = null } = row
  const moment = (at: number) => (start + at * hour) / 1e6
  await db.query(
    `INSERT INTO lockstep_source.reports (card, prediction_id, happened_at, reported_at, loss, is_fraud)
     VALUES ($1, $2, to_timestamp($3), to_timestamp($4), $5, $6)`,
    [card, id, moment(atHour), moment(knownHour), loss, isFraud],
  )
}
