import { dayOf, predictionPartitions } from '../../../monitoring/day-partitions.ts'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { movedEntityMix } from '../../../monitoring/drift/entity-mix.ts'
import { movedRequestFields } from '../../../monitoring/drift/request-fields.ts'
import type { OpenedDatabase } from '../../opened-database.ts'
import { openServer } from '../../opened-database.ts'

const hour = 3_600_000_000
const start = Date.UTC(2026, 2, 2) * 1000
const request = [
  { name: 'amount', type: { kind: 'float64' } },
  { name: 'steady', type: { kind: 'float64' } },
  { name: 'items', type: { kind: 'int64' } },
  { name: 'channel', type: { kind: 'string' } },
  { name: 'at', type: { kind: 'timestamp' } },
] as const
let opened: OpenedDatabase

/** An hour of 300 predictions; in the second hour amounts are a hundred times as large, and a channel is new. */
beforeAll(async () => {
  opened = await openServer()
  await predictionPartitions.create(opened.db, [dayOf(start)])
  await opened.db
    .script(`INSERT INTO lockstep.prediction_log (at, request_id, prediction_id, entity, model, version, role, service, service_fingerprint,
      as_of, entities, keys, request, features, statuses, reads, outputs, latency_micros, degraded, skewed)
    SELECT at, 'r' || h || '.' || i, 'p' || h || '.' || i, 0, 'fraud', 1, 'champion', 'fraud_features@1', '', at, '{}', '{"card": "c"}',
      json_build_object('amount', (i % 50) * CASE h WHEN 1 THEN 100 ELSE 1 END, 'steady', i % 50, 'items', (i % 7)::text,
        'channel', CASE WHEN h = 1 AND i % 2 = 0 THEN 'app' ELSE 'web' END, 'at', at), json_build_object('doubled', 2 * (i % 50) * CASE h WHEN 1 THEN 100 ELSE 1 END, 'isApp', h = 1 AND i % 2 = 0,
        'weekday', (i / 2) % 7, 'card', 'c' || i), '{}', '[]', '{}', 1, false, false
    FROM (SELECT h, i, to_timestamp(${start / 1e6}) + h * interval '1 hour' + i * interval '10 seconds' AS at
      FROM generate_series(0, 2) h, generate_series(0, 299) i WHERE h < 2 OR i < 150) rows`)
})
afterAll(() => opened?.close())

const moved = async (from: number) =>
  await movedRequestFields(opened.db, { model: 'fraud', version: 1, request }, { from: start + from * hour, to: start + (from + 1) * hour })

it('names the request fields that differ from the time before, and no other', async () => {
  const fields = await moved(1)
  expect(fields.map(({ text }) => text)).toEqual([
    'the request field "amount" moved: its mean went from 24.5 in the time before to 2,450',
    'the request field "channel" moved: 50 % of rows have other values than in the time before',
  ])
  // nearly all amounts moved, so no rows are left to compare with; of many texts nothing is known
  expect(fields.map(({ unrelated }) => [...unrelated])).toEqual([[], ['doubled', 'weekday']])
})

it('finds another mix of entities in the rows of all versions, not in those of a version that gets a greater share', async () => {
  // the model "rolled" gives card 9 to version 2 at first, and five cards later; "moved" gets five cards more often
  await opened.db
    .script(`INSERT INTO lockstep.prediction_log (at, request_id, prediction_id, entity, model, version, role, service, service_fingerprint,
      as_of, entities, keys, request, features, statuses, reads, outputs, latency_micros, degraded, skewed)
    SELECT at, model || h || '.' || i, model || h || '.' || i, 0, model, CASE WHEN is_rolled THEN 2 ELSE 1 END, CASE WHEN is_rolled THEN 'canary' ELSE 'champion' END,
      'fraud_features@1', '', at, '{}', json_build_object('card', 'c' || card), '{}', '{}', '{}', '[]', '{}', 1, false, false
    FROM (SELECT *, model = 'rolled' AND card >= CASE h WHEN 1 THEN 5 ELSE 9 END AS is_rolled,
        to_timestamp(${start / 1e6}) + h * interval '1 hour' + i * interval '1 second' AS at
      FROM (SELECT *, i % CASE WHEN model = 'moved' AND h = 1 THEN 5 ELSE 10 END AS card
        FROM unnest(ARRAY['rolled', 'moved']) model, generate_series(0, 1) h, generate_series(0, 2999) i) drawn) rows`)
  const second = { from: start + hour, to: start + 2 * hour }
  expect(await movedEntityMix(opened.db, { model: 'rolled', key: ['card'] }, second)).toBeNull()
  expect(await movedEntityMix(opened.db, { model: 'moved', key: ['card'] }, second)).toMatch(
    /^[45]\d(\.\d)? % of rows went to other entities/,
  )
})

it('names none of a time with few logged rows, or without a time before', async () => {
  expect(await moved(0)).toEqual([])
  expect(await moved(2)).toEqual([])
})
