import { dayOf, predictionPartitions } from '../../../monitoring/day-partitions.ts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { activeMonitors } from '../../../monitoring/alerts/default-monitors.ts'
import { evaluateMonitor } from '../../../monitoring/alerts/evaluate-monitor.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
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
async function evaluated(hours: number, stated: StatedCheck = { kind: 'quality', outcome: 'labelled' }, known = catalog) {
  const daily = activeMonitors(catalog, true).monitors.find(({ name }) => name === 'daily:fraud')
  expect(daily?.checks.map(({ kind }) => kind)).toEqual(['nulls', 'drift', 'predictions', 'quality'])
  if (daily === undefined) throw new Error('The model has no daily monitor.')
  const { db } = opened
  const deps = { db, store: null, catalog: known, clock: () => start, signal: new AbortController().signal }
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
  expect((await evaluated(0, least))?.cause).toMatch(
    /^No auc of the predictions from 2026-\S+ to 2026-\S+, the newest mature window of the monitor: 0 mature .* 30 are needed\. If/,
  )
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

describe('a model that lost its quality days ago', () => {
  /** Days after the first prediction, so that no earlier prediction is in the 28 days before. */
  const begin = 60

  /** Eleven days of predictions, one in five minutes. From the sixth day on, labels and scores are independent. */
  beforeAll(async () => {
    await predictionPartitions.create(
      opened.db,
      Array.from({ length: 12 }, (_, day) => dayOf(start + (begin + day) * 24 * hour)),
    )
    await opened.db.script(`SELECT setseed(0.6);
      CREATE TABLE decayed AS SELECT i, p, random() < (CASE WHEN i < 1440 THEN p ELSE 0.5 END) AS fraud,
        to_timestamp(${start / 1e6}) + interval '${begin} days' + i * interval '5 minutes' AS at
      FROM (SELECT i, random()::float8 AS p FROM generate_series(0, 3167) i) rows;
      INSERT INTO lockstep.prediction_log (at, request_id, prediction_id, entity, model, version, role, service, service_fingerprint, as_of,
        entities, keys, request, features, statuses, reads, outputs, latency_micros, degraded, skewed)
      SELECT at, 'd' || i, 'd' || i, 0, 'fraud', 1, 'champion', 'fraud_features@1', '', at, '{}', json_build_object('card', 'd' || i),
        '{}', '{}', '{}', '[]', json_build_object('probability', p), 1, false, false FROM decayed;
      INSERT INTO lockstep_source.reports (card, prediction_id, happened_at, reported_at, is_fraud)
      SELECT 'd' || i, 'd' || i, at + interval '40 minutes', at + interval '40 minutes', fraud FROM decayed`)
  })

  it('is found by the weeks before, where the window before is as bad', async () => {
    expect(await evaluated((begin + 5) * 24)).toMatchObject({ state: 'ok', value: expect.closeTo(0.83, 1) })
    const decayed = await evaluated((begin + 10) * 24)
    expect(decayed).toMatchObject({ state: 'breach', n: 288, value: expect.closeTo(0.5, 1) })
    expect(decayed?.cause).toMatch(
      /^The auc of "fraud" by "labelled" is worse: 0\.\d+ from 2026-05-10T00:00:00Z on, 0\.\d+ in the week from 2026-04-\d\dT00:00:00Z on\./,
    )
  })

  it('is found by the metric of the pushed version, where the log knows nothing better', async () => {
    await opened.db.query(`DELETE FROM lockstep.prediction_log WHERE at < to_timestamp($1)`, [(start + (begin + 5) * 24 * hour) / 1e6])
    const at = (begin + 10) * 24
    expect(await evaluated(at)).toMatchObject({ state: 'ok' })
    const found = await evaluated(at, undefined, await pushedWith({ auc: 0.93 }))
    expect(found).toMatchObject({ state: 'breach', threshold: expect.closeTo(0.715, 6), evidence: { pushed: { version: 1, auc: 0.93 } } })
    expect(found?.cause).toMatch(
      /^The auc of "fraud" by "labelled" is 0\.\d+ from .* on; the version 1 was pushed with 0\.93, and chance is 0\.5\. /,
    )
    // the interval contains what is halfway to chance
    expect(await evaluated(at, undefined, await pushedWith({ auc: 0.6 }))).toMatchObject({ state: 'ok' })
    // of several outcomes, nothing says which one the metric is about
    expect(await evaluated(at, undefined, await pushedWith({ auc: 0.93 }, ['labelled', 'costly']))).toMatchObject({ state: 'ok' })
  })
})

/** The catalog with a version of the model, and with one outcome or more. */
async function pushedWith(metrics: Readonly<Record<string, number>>, outcomes: readonly string[] = ['labelled']): Promise<Catalog> {
  const { db } = opened
  await db.query(`DELETE FROM lockstep.model_versions`)
  await db.query(
    `INSERT INTO lockstep.model_versions (model, version, bytes, sha256, size_bytes, inputs, outputs, metadata, metrics, service_name,
       service_version, service_fingerprint)
     VALUES ('fraud', 1, '', '', 0, '[]', '[]', '{}', $1, 'fraud_features', 1, '')`,
    [JSON.stringify(metrics)],
  )
  const known = await loadCatalog(db)
  return { ...known, outcomes: new Map([...known.outcomes].filter(([name]) => outcomes.includes(name))) }
}
