import { dayOf, predictionPartitions } from '../../../monitoring/day-partitions.ts'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { activeMonitors } from '../../../monitoring/alerts/default-monitors.ts'
import { evaluateMonitor } from '../../../monitoring/alerts/evaluate-monitor.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import type { StatedCheck } from '../../../registry/define/check-options.ts'
import { checkOf } from '../../../registry/define/check-options.ts'
import type { OpenedDatabase } from '../../opened-database.ts'
import { openServer } from '../../opened-database.ts'
import { applyPayments, hour, start } from '../outcomes/payments.ts'

let opened: OpenedDatabase
let catalog: Catalog

/** Four days of predictions, one in two minutes. The labels of the last day are flipped. They come within the hour. */
beforeAll(async () => {
  opened = await openServer()
  catalog = await applyPayments(opened.db)
  await predictionPartitions.create(
    opened.db,
    [0, 1, 2, 3, 4].map((day) => dayOf(start + day * 24 * hour)),
  )
  await opened.db.script(`SELECT setseed(0.4);
    CREATE TABLE truth AS SELECT i, p, (random() < p) = (i < 2160) AS fraud, to_timestamp(${start / 1e6}) + i * interval '2 minutes' AS at
    FROM (SELECT i, random()::float8 AS p FROM generate_series(0, 2879) i) rows;
    INSERT INTO lockstep.prediction_log (at, request_id, prediction_id, entity, model, version, role, service, service_fingerprint, as_of,
      entities, keys, request, features, statuses, reads, outputs, latency_micros, degraded, skewed)
    SELECT at, 'r' || i, 'r' || i, 0, 'fraud', 1, 'champion', 'fraud_features@1', '', at, '{}', json_build_object('card', 'c' || i % 100),
      '{}', '{}', '{}', '[]', json_build_object('probability', p), 1, false, false FROM truth;
    INSERT INTO lockstep_source.reports (card, prediction_id, happened_at, reported_at, is_fraud)
    SELECT 'c' || i % 100, 'r' || i, at + interval '40 minutes', at + interval '40 minutes', fraud FROM truth`)
})
afterAll(() => opened?.close())

/**
 * The findings of the default monitor, or of a check in its place, about predictions that were mature so many hours
 * after the first.
 */
async function evaluated(hours: number, stated: StatedCheck = { kind: 'quality', outcome: 'labelled' }) {
  const daily = activeMonitors(catalog, true).monitors.find(({ name }) => name === 'daily:fraud')
  expect(daily?.checks.map(({ kind }) => kind)).toEqual(['nulls', 'drift', 'predictions', 'quality'])
  if (daily === undefined) throw new Error('The model has no daily monitor.')
  const { db } = opened
  const deps = { db, store: null, catalog, clock: () => start, signal: new AbortController().signal }
  const [checked] = await evaluateMonitor(deps, { ...daily, checks: [checkOf(stated, 'A monitor')] }, start + (hours + 24) * hour)
  expect(checked?.error).toBeNull()
  expect(checked?.results).toHaveLength(1)
  return checked?.results?.[0]
}

it('finds labels that flip by comparing a day with the day before, and not before they are mature', async () => {
  expect(await evaluated(72)).toMatchObject({ subject: 'labelled', state: 'ok', n: 720, cause: null })
  const flipped = await evaluated(96)
  expect(flipped).toMatchObject({ state: 'breach', n: 720, threshold: expect.closeTo(0.83, 1), value: expect.closeTo(0.17, 1) })
  expect(flipped?.cause).toMatch(/^The auc of "fraud" by "labelled" is worse: 0\.1\d+ from 2026-03-05T00:00:00Z on, 0\.8\d+ before\./)
  // after eight hours a third of the labels is flipped
  expect(await evaluated(80)).toMatchObject({ state: 'breach' })
  expect(await evaluated(0)).toMatchObject({ state: 'unknown', n: 0, cause: expect.stringContaining('30 are needed') })
})

it('compares a figure with its limits', async () => {
  const [least, most] = [{ kind: 'quality', outcome: 'labelled', figure: 'auc', min: 0.7 } as const, 0.3]
  expect(await evaluated(72, least)).toMatchObject({ state: 'ok', threshold: 0.7 })
  expect((await evaluated(96, least))?.cause).toMatch(
    /^The auc of "fraud" by "labelled" is 0\.1\d+ \(from 0\.\d+ to 0\.\d+\); at least 0\.7/,
  )
  const brier = { kind: 'quality', outcome: 'labelled', figure: 'brier', max: most } as const
  expect([(await evaluated(72, brier))?.state, (await evaluated(96, brier))?.state]).toEqual(['ok', 'breach'])
  // the interval of a day has the limit in it
  expect(await evaluated(72, { ...least, min: 0.83 })).toMatchObject({ state: 'ok' })
  expect(await evaluated(72, { ...least, figure: 'rmse' })).toMatchObject({
    state: 'unknown',
    cause: expect.stringContaining('no figure "rmse"'),
  })
})

it('ends the interval of a share at 0 and 1', async () => {
  const few = await evaluated(1.5, { kind: 'quality', outcome: 'labelled', figure: 'auc', max: 0.1 })
  expect(few).toMatchObject({ state: 'breach', cause: expect.stringMatching(/\(from 0\.\d+ to 1\); at most 0\.1/) })
})

it('reads only the newest of many logged predictions', async () => {
  expect(await evaluated(72, { kind: 'quality', outcome: 'labelled', maxRows: 1000 })).toMatchObject({
    state: 'ok',
    n: expect.closeTo(500, -1),
  })
})
