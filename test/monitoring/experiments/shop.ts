import { dayOf, predictionPartitions } from '../../../monitoring/day-partitions.ts'
import type { ExperimentSpec } from '../../../kernel/specs/experiment-spec.ts'
import { applyChanges } from '../../../registry/changes/apply.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import { load } from '../../registry/definition-files.ts'

export const hour = 3_600_000_000
export const day = 24 * hour
/** 2026-03-02T00:00:00Z */
export const start = Date.UTC(2026, 2, 2) * 1000

/** Orders by user, a model that ranks offers, and outcomes of both kinds. */
export const shop = `import { entity, experiment, featureService, featureView, last, metric, model, outcome, source, sum, t } from 'lockstep'
const user = entity('user', { key: { user: t.string } })
const orders = source('orders', {
  key: { user: 'user_id' }, eventTime: 'ordered_at', known: 'known_at',
  columns: { amount: t.float64, items: t.int32, returned: t.bool },
})
const profiles = source('profiles', { key: { user: 'user_id' }, eventTime: 'at', columns: { country: t.string } })
const history = featureView('history', { version: 1, entity: user, source: orders, features: { spent30d: sum('amount', '30d') } })
const profile = featureView('profile', { version: 1, entity: user, source: profiles, features: { country: last('country') } })
const service = featureService('ranking_features', { version: 1, features: [history] })
export const ranking = model('ranking', { service, output: { score: t.float32 } })
const clicks = source('clicks', {
  key: { user: 'user_id' }, eventTime: 'at', known: 'known_at', columns: { prediction_id: t.string, clicked: t.bool, value: t.float64 },
})
export const clicked = outcome('clicked', {
  model: ranking, source: clicks, match: 'prediction', predictionId: 'prediction_id', value: 'clicked', within: '1d',
})
export const clickValue = outcome('click_value', {
  model: ranking, source: clicks, match: 'prediction', predictionId: 'prediction_id', type: t.float64,
  value: (row) => (row.value === null ? null : row.value * 2), within: '2d', missing: 0,
})
export const reaction = outcome('reaction', { model: ranking, source: clicks, match: 'entity', take: 'last', value: 'value', within: '1d', missing: 'exclude' })
const amount = { of: orders, column: 'amount' } as const
export const offers = experiment('offers', {
  model: ranking, unit: 'user', variants: { control: 'champion', treatment: 2 },
  metrics: {
    primary: metric.mean('revenue', { ...amount, within: '7d' }),
    guardrails: [metric.proportion('returning', { of: orders, column: 'returned', within: '7d', better: 'lower', margin: 0.1 })],
    secondary: [
      metric.mean('capped', { ...amount, within: '7d', winsorize: { at: 50 } }),
      metric.mean('orders', { of: orders, within: '1d' }),
      metric.mean('greatest', { ...amount, aggregate: 'max', within: '7d' }),
      metric.proportion('buyers', { of: orders, within: '7d' }),
      metric.proportion('paying', { ...amount, within: '1d' }),
      metric.ratio('basket', { numerator: amount, denominator: { of: orders, column: 'items' }, within: '7d' }),
      metric.quantile('median', { ...amount, within: '7d', quantile: 0.5 }),
      metric.proportion('clicking', { of: clicked, within: '1d' }),
      metric.mean('clicks_by_answer', { of: clicked, within: '1d', per: 'exposure' }),
      metric.mean('click_worth', { of: clickValue, within: '7d' }),
      metric.ratio('worth_by_click', { numerator: { of: clickValue }, denominator: { of: clicked }, within: '1d' }),
      metric.mean('reacting', { of: reaction, within: '1d' }),
      metric.mean('revenue_by_answer', { ...amount, within: '7d', per: 'exposure' }),
    ],
  },
  covariates: [history],
  slices: [profile],
})
`

export interface Order {
  readonly user: string
  readonly at: number
  readonly known: number
  readonly amount: number | null
  readonly items: number
  readonly returned: boolean
}

export interface Click {
  readonly user: string
  readonly predictionId: string
  readonly at: number
  readonly known: number
  readonly clicked: boolean
  readonly value: number | null
}

export interface Exposure {
  readonly user: string
  readonly variant: string
  readonly at: number
  readonly rows?: number
}

export interface Prediction {
  readonly id: string
  readonly user: string
  readonly variant: string
  readonly at: number
  /** Default: `arm`. */
  readonly role?: 'shadow'
}

export async function applyShop(db: Database): Promise<{ readonly catalog: Catalog; readonly spec: ExperimentSpec }> {
  await applyChanges(db, await load({ 'features.ts': shop }))
  const [row] = await db.query<{ spec: ExperimentSpec }>(
    `SELECT spec FROM lockstep.definitions WHERE kind = 'experiment' AND name = 'offers'`,
  )
  return { catalog: await loadCatalog(db), spec: row?.spec as ExperimentSpec }
}

const time = (column: string): string => `to_timestamp(${column}::float8 / 1000000)`

export async function addOrders(db: Database, orders: readonly Order[]): Promise<void> {
  await db.query(
    `INSERT INTO lockstep_source.orders (user_id, ordered_at, known_at, amount, items, returned)
     SELECT "user", ${time('at')}, ${time('known')}, amount, items, returned
     FROM json_to_recordset($1) r ("user" text, at text, known text, amount float8, items int4, returned bool)`,
    [JSON.stringify(orders)],
  )
}

export async function addClicks(db: Database, clicks: readonly Click[]): Promise<void> {
  await db.query(
    `INSERT INTO lockstep_source.clicks (user_id, prediction_id, at, known_at, clicked, value)
     SELECT "user", "predictionId", ${time('at')}, ${time('known')}, clicked, value
     FROM json_to_recordset($1) r ("user" text, "predictionId" text, at text, known text, clicked bool, value float8)`,
    [JSON.stringify(clicks)],
  )
}

export async function addProfiles(db: Database, users: readonly string[], country: (user: string) => string): Promise<void> {
  await db.query(
    `INSERT INTO lockstep_source.profiles (user_id, at, country) SELECT "user", ${time('at')}, country
     FROM json_to_recordset($1) r ("user" text, at text, country text)`,
    [JSON.stringify(users.map((user) => ({ user, at: start - 100 * day, country: country(user) })))],
  )
}

/** Starts a run of the experiment and gives it exposures. @returns its id */
export async function addExposures(db: Database, spec: ExperimentSpec, exposures: readonly Exposure[]): Promise<number> {
  const [run] = await db.query<{ id: string }>(
    `INSERT INTO lockstep.experiments (name, model, spec, state, salt, coverage, variants, slices, started_by, started_at)
     VALUES ($1, $2, $3, 'running', 'salt', 1, '{"control": 1, "treatment": 2}', '[]', 'test', ${time('$4')}) RETURNING id`,
    [spec.name, spec.model, JSON.stringify(spec), start],
  )
  const id = Number(run?.id)
  await db.query(
    `INSERT INTO lockstep.exposures (experiment_id, unit, variant, exposed_at, last_at, rows, propensity, entity)
     SELECT $2, "user", variant, ${time('at')}, ${time('at')}, coalesce(rows, 1), 0.5, json_build_object('user', "user")
     FROM json_to_recordset($1) r ("user" text, variant text, at text, rows int)`,
    [JSON.stringify(exposures), id],
  )
  return id
}

export async function addPredictions(db: Database, predictions: readonly Prediction[]): Promise<void> {
  await predictionPartitions.create(db, new Set(predictions.map(({ at }) => dayOf(at))))
  await db.query(
    `INSERT INTO lockstep.prediction_log (at, request_id, prediction_id, entity, model, version, service, service_fingerprint, as_of,
       entities, keys, request, features, statuses, reads, outputs, latency_micros, degraded, skewed, role, experiment, variant)
     SELECT ${time('at')}, id, id, 0, 'ranking', 1, 'ranking_features@1', '', ${time('at')}, '{}', json_build_object('user', "user"), '{}', '{}', '{}',
       '[]', '{"score":0.5}', 1, false, false, coalesce(role, 'arm'), CASE WHEN role IS NULL THEN 'offers' END, CASE WHEN role IS NULL THEN variant END
     FROM json_to_recordset($1) r (id text, "user" text, variant text, at text, role text)`,
    [JSON.stringify(predictions)],
  )
}
