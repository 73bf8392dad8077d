import { dayOf, predictionPartitions } from '../../../monitoring/day-partitions.ts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { QualityReport } from '../../../monitoring/quality/quality-report.ts'
import { qualityReport } from '../../../monitoring/quality/quality-report.ts'
import type { OutcomeQuality } from '../../../monitoring/report/model-report.ts'
import { qualitySection } from '../../../monitoring/report/quality-section.ts'
import { shortNumber } from '../../../monitoring/report/scale.ts'
import { applyChanges } from '../../../registry/changes/apply.ts'
import { studentQuantile } from '../../../statistics/distributions.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import type { OpenedDatabase } from '../../opened-database.ts'
import { openServer } from '../../opened-database.ts'
import { load } from '../../registry/definition-files.ts'
import { applyPayments, hour, payments, start } from '../outcomes/payments.ts'

const rows = 600
let opened: OpenedDatabase
let catalog: Catalog
interface Prediction {
  readonly version: number
  readonly card: string
  readonly day: string
  /** Whether a row says what came of it. */
  readonly reported: boolean
  readonly fraud: boolean | null
  readonly loss: number | null
}
let truth: Prediction[]

beforeAll(async () => {
  opened = await openServer()
  catalog = await applyPayments(opened.db)
  await predictionPartitions.create(
    opened.db,
    [0, 1].map((day) => dayOf(start + day * 24 * hour)),
  )
  await opened.db.script(`SELECT setseed(0.2);
    CREATE TABLE truth AS SELECT i, i % 2 + 1 AS version, 'c' || i % 20 AS card, to_timestamp(${start / 1e6}) + i * interval '4 minutes' AS at,
      random() < 0.7 AS reported, random() < 0.5 AS fraud,
      CASE WHEN random() < 0.8 THEN round((random() * 1000 * (1 + i % 20))::numeric, 2)::float8 END AS loss
    FROM generate_series(0, ${rows - 1}) i;
    INSERT INTO lockstep.prediction_log (at, request_id, prediction_id, entity, model, version, role, service, service_fingerprint, as_of,
      entities, keys, request, features, statuses, reads, outputs, latency_micros, degraded, skewed)
    SELECT at, 'r' || i, 'r' || i, 0, 'fraud', version, 'champion', 'fraud_features@1', '', at, '{}',
      json_build_object('card', card), '{}', '{}', '{}', '[]', '{"probability":0.5}', 1, false, false
    FROM truth;
    INSERT INTO lockstep_source.reports (card, prediction_id, happened_at, reported_at, is_fraud, loss)
    SELECT card, 'r' || i, at + interval '1 hour', at + interval '1 hour', fraud, loss FROM truth WHERE reported`)
  truth = await opened.db.query(
    `SELECT version, card, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day, reported, fraud, loss FROM truth ORDER BY i`,
  )
})
afterAll(() => opened?.close())

async function report(outcome: string, by: readonly string[] = [], asOf = start + 1000 * hour): Promise<QualityReport> {
  const limits = { total: 1e5, group: 1e5, estimate: 1000, curve: 0 }
  return await qualityReport(opened.db, catalog, { model: 'fraud', outcome, from: start, to: asOf, asOf, by, limits })
}

/** The mean of amounts with its interval, from the means without one card after the other, and their sum. */
function naive(amounts: readonly { readonly card: string; readonly amount: number }[]) {
  const n = amounts.length
  const total = amounts.reduce((sum, { amount }) => sum + amount, 0)
  const mean = total / n
  const cards = [...new Set(amounts.map(({ card }) => card))]
  const without = cards.map((card) => amounts.filter((each) => each.card !== card))
  const means = without.map((others) => others.reduce((sum, { amount }) => sum + amount, 0) / others.length)
  const m = cards.length
  const variance = (means.reduce((sum, each) => sum + (each - mean) ** 2, 0) * (m - 1)) / m
  const weight = n ** 2 / without.reduce((sum, others) => sum + (n - others.length) ** 2, 0)
  const half = studentQuantile(0.975, weight - 1) * Math.sqrt(variance)
  return { value: mean, low: mean - half, high: mean + half, n, total }
}

const amountsOf = (of: readonly Prediction[], zero: boolean) =>
  of.flatMap(({ card, reported, loss }) => {
    if (reported) return loss === null ? [] : [{ card, amount: loss }]
    return zero ? [{ card, amount: 0 }] : []
  })

describe('business figures', () => {
  it.each([
    ['labelled', false],
    ['costly', true],
  ] as const)('of the outcome %s are those of a naive count, in all and by slice', async (outcome, zero) => {
    const { total, groups } = await report(outcome, ['version', 'role', 'day'])
    expect(groups.map(({ by }) => by)).toEqual(
      ['1', '2'].flatMap((version) => ['2026-03-02', '2026-03-03'].map((day) => ({ version, role: 'champion', day }))),
    )
    for (const { by, business } of [total, ...groups]) {
      const own = truth.filter(({ version, day }) => by['day'] === undefined || (by['version'] === String(version) && by['day'] === day))
      // without a loss, what came of it is not known: only "costly" says null for it, and "labelled" judges the row
      const { value, low, high, n, total: sum } = naive(amountsOf(own, zero))
      const figure = business['loss']
      expect(figure).toMatchObject({
        n,
        interval: 'entities',
        reason: null,
        assumed: zero ? own.filter(({ reported }) => !reported).length : 0,
      })
      expect(figure?.value).toBeCloseTo(value, 8)
      expect(figure?.total).toBeCloseTo(sum, 6)
      expect((figure?.low ?? 0) / low).toBeCloseTo(1, 5)
      expect((figure?.high ?? 0) / high).toBeCloseTo(1, 5)
    }
  })

  it('are in the page of a model with intervals, by version, by day and by slice', async () => {
    const [byVersion, byDay, byCard] = [
      await report('costly', ['version']),
      await report('costly', ['day']),
      await report('costly', ['card']),
    ]
    const pageOf = (quality: OutcomeQuality) =>
      qualitySection({ value: [quality], reason: null })
        .body.map(({ markup }) => markup)
        .join('')
    const page = pageOf({ byVersion, byDay, bySlice: { card: byCard } })
    const { value = 0, low = 0, high = 0, n } = byVersion.total.business['loss'] ?? {}
    const cell = `${shortNumber(value ?? 0)} (${shortNumber(low ?? 0)} to ${shortNumber(high ?? 0)})`
    expect(page).toContain(`<td>loss</td><td>all</td><td>${cell}</td><td class="number">${n}</td>`)
    expect(page).toContain('loss by day')
    expect(page).toContain('By card')
    const early = await report('labelled', [], start + 2 * hour)
    expect(pageOf({ byVersion: early, byDay: early, bySlice: {} })).toContain('No figures: 0 mature predictions')
    expect(page).not.toMatch(/NaN|undefined/)
  })

  it('of few predictions have a total and no mean', async () => {
    const { total } = await report('labelled', [], start + 25 * hour)
    expect(total.judged).toBeLessThan(30)
    const amounts = amountsOf(truth.slice(0, 16), false)
    expect(total.business['loss']).toMatchObject({
      value: null,
      n: amounts.length,
      reason: expect.stringContaining('30 are needed') as string,
    })
    expect(total.business['loss']?.total).toBeCloseTo(naive(amounts).total, 8)
  })

  it('are operational: adding one changes no fingerprint', async () => {
    const before = catalog.outcome('lost_last').fingerprint
    const text = payments.replace("missing: 'exclude',", "missing: 'exclude', figures: { last: 'loss' },")
    await applyChanges(opened.db, await load({ 'features.ts': text }))
    const after = (await loadCatalog(opened.db)).outcome('lost_last')
    expect(after.fingerprint).toBe(before)
    expect(after.figures).toEqual([{ name: 'last', column: 0 }])
  })
})
