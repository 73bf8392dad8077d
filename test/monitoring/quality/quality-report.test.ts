import { dayOf, predictionPartitions } from '../../../monitoring/day-partitions.ts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { QualityOptions, QualityReport } from '../../../monitoring/quality/quality-report.ts'
import { qualityReport } from '../../../monitoring/quality/quality-report.ts'
import { createRollupRecorder } from '../../../monitoring/rollups/rollup-recorder.ts'
import { createRollupWriter } from '../../../monitoring/rollups/rollup-writer.ts'
import { allPresent } from '../../../kernel/states/state.ts'
import { createLogger } from '../../../runtime/log.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import type { OpenedDatabase } from '../../opened-database.ts'
import { openServer } from '../../opened-database.ts'
import { applyPayments, hour, start } from '../outcomes/payments.ts'

const rows = 2000
/** No curves: they cost most. */
const limits = { total: 1e6, group: 1e6, estimate: 20_000, curve: 0 }
let opened: OpenedDatabase
let catalog: Catalog
/** Predictions with their whole truth, as PostgreSQL made them. */
let truth: { readonly at: number; readonly version: number; readonly card: string; readonly p: number; readonly fraud: boolean }[]

beforeAll(async () => {
  opened = await openServer()
  catalog = await applyPayments(opened.db)
  await predictionPartitions.create(
    opened.db,
    [0, 1, 2, 3, 4].map((day) => dayOf(start + day * 24 * hour)),
  )
  // one prediction in two minutes. A fraud is reported after 20 hours, an honest payment is settled within one:
  // outcomes that come fast are those of honest payments
  await opened.db.script(`SELECT setseed(0.4);
    CREATE TABLE truth AS SELECT i, i % 2 + 1 AS version, 'c' || i % 20 AS card, p, random() < p AS fraud,
      to_timestamp(${start / 1e6}) + i * interval '2 minutes' AS at
    FROM (SELECT i, round(random()::numeric, 3)::float8 AS p FROM generate_series(0, ${rows - 1}) i) rows;
    INSERT INTO lockstep.prediction_log (at, request_id, prediction_id, entity, model, version, role, service, service_fingerprint, as_of,
      entities, keys, request, features, statuses, reads, outputs, latency_micros, degraded, skewed)
    SELECT at, 'r' || i, 'r' || i, 0, 'fraud', version, CASE version WHEN 1 THEN 'champion' ELSE 'canary' END, 'fraud_features@1', '', at, '{}',
      json_build_object('card', card), '{}', json_build_object('paid1h', i % 3), '{}', '[]', json_build_object('probability', p), 1, false, false
    FROM truth;
    INSERT INTO lockstep_source.reports (card, prediction_id, happened_at, reported_at, is_fraud)
    SELECT card, 'r' || i, at + d, at + d, fraud FROM (SELECT *, CASE WHEN fraud THEN interval '20 hours' ELSE interval '40 minutes' END AS d FROM truth) t`)
  truth = await opened.db.query(`SELECT extract(epoch FROM at)::float8 * 1e6 AS at, version, card, p, fraud FROM truth ORDER BY i`)
})
afterAll(() => opened?.close())

async function report(options: Partial<QualityOptions> = {}): Promise<QualityReport> {
  const asOf = options.asOf ?? start + 1000 * hour
  return await qualityReport(opened.db, catalog, {
    model: 'fraud',
    outcome: 'labelled',
    from: start,
    to: asOf,
    asOf,
    by: [],
    limits,
    ...options,
  })
}

function accuracy(of: readonly { readonly p: number; readonly fraud: boolean }[]): number {
  return of.filter(({ p, fraud }) => p >= 0.5 === fraud).length / of.length
}

function brier(of: readonly { readonly p: number; readonly fraud: boolean }[]): number {
  return of.reduce((sum, { p, fraud }) => sum + (p - Number(fraud)) ** 2, 0) / of.length
}

describe('the quality of a model', () => {
  it('is that of all rows of the log and of their outcomes', async () => {
    const { total, kind, estimates, ...head } = await report()
    expect(head).toMatchObject({ outcome: 'labelled', output: 'probability', threshold: 0.5, groups: [], missing: null })
    expect(kind).toBe('binary')
    expect(total).toMatchObject({
      predictions: rows,
      judged: rows,
      immature: 0,
      withoutOutcome: 0,
      unreadable: 0,
      assumed: 0,
      entities: 20,
    })
    expect(total.figures['accuracy']?.value).toBeCloseTo(accuracy(truth), 12)
    expect(total.figures['brier']?.value).toBeCloseTo(brier(truth), 12)
    const [auc] = await opened.db.query<{ auc: number }>(
      `SELECT avg((a.p > b.p)::int + (a.p = b.p)::int * 0.5)::float8 AS auc FROM truth a, truth b WHERE a.fraud AND NOT b.fraud`,
    )
    expect(total.figures['auc']?.value).toBeCloseTo(auc?.auc ?? 0, 10)
    expect(total.figures['accuracy']).toMatchObject({ n: rows, interval: 'entities' })
    expect(total.figures['calibrationError']?.low).toBe(0)
    expect(estimates).toEqual([])
  })

  it.each([25, 30, 47, 60.5])('%s hours on is that of the whole truth of mature predictions, not of early outcomes', async (hours) => {
    const asOf = start + hours * hour
    const mature = truth.filter(({ at }) => at <= asOf - 24 * hour)
    const logged = truth.filter(({ at }) => at < asOf)
    const { total, estimates } = await report({ asOf })
    expect(total).toMatchObject({ predictions: logged.length, judged: mature.length, immature: logged.length - mature.length })
    expect(total.figures['positives']?.value).toBeCloseTo(mature.filter(({ fraud }) => fraud).length / mature.length, 12)
    expect(total.figures['brier']?.value).toBeCloseTo(brier(mature), 12)
    for (const { version, reason, figures } of estimates) {
      const coming = logged.filter((each) => each.version === version && each.at > asOf - 24 * hour)
      if (figures === null) expect(reason).toContain('are needed to calibrate scores')
      else expect(Math.abs((figures['accuracy']?.value ?? 0) - accuracy(coming))).toBeLessThan(0.06)
    }
    expect(estimates.map(({ version }) => version)).toEqual([1, 2])
  })

  it('is split by version, role, day, key and feature', async () => {
    const { groups } = await report({ by: ['version', 'role', 'day'] })
    expect(groups.map(({ by }) => Object.values(by).join(' '))).toEqual(
      ['1 champion', '2 canary'].flatMap((served) => ['2026-03-02', '2026-03-03', '2026-03-04'].map((day) => `${served} ${day}`)),
    )
    for (const { by, figures } of groups) {
      const own = truth.filter(
        ({ at, version }) => String(version) === by['version'] && new Date(at / 1000).toISOString().startsWith(by['day'] ?? ''),
      )
      expect(figures['accuracy']?.value).toBeCloseTo(accuracy(own), 12)
    }
    const cards = (await report({ by: ['card', 'paid1h:0'] })).groups
    expect(cards).toHaveLength(40)
    const one = cards.find(({ by }) => by['card'] === 'c7' && by['paid1h'] === '> 0')
    const own = truth.filter(({ card }, i) => card === 'c7' && i % 3 > 0)
    expect(one?.judged).toBe(own.length)
    expect(one?.figures['accuracy']?.value).toBeCloseTo(accuracy(own), 12)
    expect(one?.figures['accuracy']?.interval).toBe('rows')
  })

  it('counts what the outcome says of predictions without a row', async () => {
    const { total } = await report({ outcome: 'chargeback' })
    expect(total).toMatchObject({ judged: rows, assumed: rows })
    expect(total.figures['auc']?.reason).toBe(`all ${rows} outcomes are negative, and both kinds are needed`)
    const { total: none } = await report({ from: start - 10 * hour, to: start })
    expect(none).toMatchObject({ predictions: 0, judged: 0 })
    expect(none.figures['auc']?.reason).toBe('0 mature predictions have an outcome, and 30 are needed')
  })

  it('says how many predictions servers made, as far as that was measured', async () => {
    expect((await report()).answered).toBeNull()
    const log = createLogger('silent')
    const writer = createRollupWriter({ database: () => opened.db, log })
    const recorder = createRollupRecorder({ writer, baselineOf: () => null, log, clock: () => start + hour }, { rowsPerSecond: 1000 })
    const service = catalog.service('fraud_features')
    const row = service.evaluate([{ values: [3], statuses: allPresent(1), eventTime: start }], [], start)
    const outputs = [{ name: 'probability', type: { kind: 'float32' } }] as const
    const group = {
      model: { service, outputs, version: { model: 'fraud', version: 1 } },
      role: 'champion' as const,
      rows: [0, 1, 2],
      read: { entities: [1, 2, 3].map((card) => ({ keys: [`c${card}`], request: [] })), rows: [row, row, row] },
    }
    recorder.answered(group, [[0.1], [0.2], [0.3]], { totalMs: 1, featuresMs: 1, waitMs: 0, runMs: 1 }, 0)
    await recorder.close(60_000)
    expect((await report()).answered).toBe(3)
    expect((await report({ versions: [2] })).answered).toBeNull()
  })

  it('names a column, outcome or model that is not there', async () => {
    await expect(report({ by: ['cart'] })).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
      message:
        'Predictions of "fraud" have no column "cart". Did you mean "card"? Split by version, role, day, or one of paying, known, card, paid1h.',
    })
    await expect(report({ outcome: undefined })).rejects.toThrow(/^The model "fraud" has several outcomes: .*"labelled".*\. Name one\.$/)
    await expect(report({ outcome: 'label' })).rejects.toMatchObject({ code: 'UNKNOWN_DEFINITION' })
    await expect(report({ model: 'frauds' })).rejects.toMatchObject({ code: 'UNKNOWN_DEFINITION' })
  })
})
