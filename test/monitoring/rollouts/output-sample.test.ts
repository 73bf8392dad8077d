import { expect, test } from 'vitest'
import type { JsonValue } from '../../../kernel/specs/view-spec.ts'
import type { Column } from '../../../kernel/values/value-type.ts'
import { dayOf, predictionPartitions } from '../../../monitoring/day-partitions.ts'
import type { Window } from '../../../monitoring/window.ts'
import { gatherGate, judgeGate } from '../../../monitoring/rollouts/gates/all-gates.ts'
import type { GateContext } from '../../../monitoring/rollouts/gates/gate.ts'
import { gate } from '../../../registry/rollouts/plan-schema.ts'
import { during, openServer } from '../../opened-database.ts'
import { hour, start } from '../outcomes/payments.ts'

const opened = during(() => openServer())
const spec = gate({ kind: 'predictions', rows: 500 })
const features = gate({ kind: 'features' })
const split = gate({ kind: 'split' })
const gates = [spec, features, split]

/** Logs a step of ten hours in which the outputs of both versions rise, each row of another card. */
async function logStep(rows: { readonly canary: number; readonly champion: number }, rise: number, candidateShift: number): Promise<void> {
  const { db } = opened()
  await predictionPartitions.create(db, new Set([dayOf(start)]))
  await db.query('DELETE FROM lockstep.prediction_log')
  await db.query(
    `INSERT INTO lockstep.prediction_log (at, request_id, prediction_id, entity, model, version, service, service_fingerprint, as_of,
       entities, keys, request, features, statuses, reads, outputs, latency_micros, degraded, skewed, role)
     SELECT at, id, id, 0, 'fraud', CASE role WHEN 'canary' THEN 2 ELSE 1 END, 'fraud_features@1', '', at, '{}', json_build_object('card', id), '{}',
       '{}', '{}', '[]', json_build_object('score', score, 'both', ARRAY[1 - score, score]), 1, false, false, role
     FROM (
       SELECT role, role || n AS id, to_timestamp($1::float8 + 36000.0 * n / rows) AS at,
         $4::float8 * n / rows + n * 0.618034 % 1 + CASE role WHEN 'canary' THEN $5::float8 ELSE 0 END AS score
       FROM (VALUES ('canary', $2::int), ('champion', $3::int)) AS sides (role, rows), generate_series(0, rows - 1) AS n
     ) AS step`,
    [start / 1e6, rows.canary, rows.champion, rise, candidateShift],
  )
}

const step = { from: start, to: start + 10 * hour }

async function look(before: JsonValue | null = null, output?: Column): Promise<JsonValue> {
  return await gatherGate(contextOf(output), spec, before)
}

/** What the gates of logged rows ask for of a context. */
function contextOf(output: Column = { name: 'score', type: { kind: 'float64' } }, championIn: Window = step): GateContext {
  const context = {
    db: opened().db,
    catalog: { services: new Map([['fraud_features@1', { features: [{ name: 'spent' }] }]]) },
    model: { name: 'fraud', spec: { output: [output] }, versions: [1, 2].map((version) => ({ version, service: 'fraud_features@1' })) },
    rollout: { model: 'fraud', version: 2, unit: 'card', share: 0.5, plan: { gates } },
    champion: 1,
    counts: { championIn },
    from: step.from,
    now: step.to,
  }
  return context as unknown as GateContext
}

test('the gate of outputs compares rows of the same time, whatever the share', async () => {
  await logStep({ canary: 400, champion: 7600 }, 3, 0)
  const evidence = await look()
  expect(evidence).toMatchObject({ rows: { candidate: 400, champion: 500 } })
  expect(judgeGate(spec, evidence)).toMatchObject({ verdict: 'advance' })
  await logStep({ canary: 4000, champion: 4000 }, 3, 0)
  expect(judgeGate(spec, await look())).toMatchObject({ verdict: 'advance' })
})

test('the gate of outputs finds a candidate that answers otherwise', async () => {
  await logStep({ canary: 400, champion: 7600 }, 0, 0.5)
  expect(judgeGate(spec, await look())).toMatchObject({ verdict: 'hold' })
})

test('the gate of outputs compares the probability of yes of an output that has two', async () => {
  const both: Column = { name: 'both', type: { kind: 'vector', length: 2 } }
  await logStep({ canary: 400, champion: 7600 }, 0, 0)
  expect(judgeGate(spec, await look(null, both))).toMatchObject({ verdict: 'advance' })
  await logStep({ canary: 400, champion: 7600 }, 0, 0.5)
  expect(judgeGate(spec, await look(null, both))).toMatchObject({ verdict: 'hold' })
})

test('a step at 100 % is compared with what the champion answered before it', async () => {
  const { db } = opened()
  await logStep({ canary: 4000, champion: 4000 }, 0, 0.5)
  const before = { from: step.from - 10 * hour, to: step.from }
  await predictionPartitions.create(db, new Set([dayOf(before.from)]))
  await db.query(`UPDATE lockstep.prediction_log SET at = at - interval '10 hours' WHERE role = 'champion'`)
  // the candidate lacks the feature
  await db.query(`UPDATE lockstep.prediction_log SET statuses = '{"spent": "NULL"}' WHERE role = 'canary'`)
  const found = await gatherGate(contextOf(undefined, before), spec, null)
  expect(found).toMatchObject({ rows: { candidate: 500, champion: 500 } })
  expect(judgeGate(spec, found)).toMatchObject({ verdict: 'hold' })
  const missing = await gatherGate(contextOf(undefined, before), features, null)
  expect(missing).toMatchObject({ entities: { candidate: 4000, champion: 4000 } })
  expect(judgeGate(features, missing)).toMatchObject({ verdict: 'roll back' })
})

test('the gate of outputs finds a candidate that answers NaN for a few entities', async () => {
  const { db } = opened()
  await logStep({ canary: 500, champion: 500 }, 0, 0)
  const answerNaN = async (role: string, ofHundred: number) =>
    await db.query(
      `UPDATE lockstep.prediction_log SET outputs = '{"score": "NaN"}' WHERE role = $1 AND substring(request_id from '[0-9]+$')::int % 100 < $2`,
      [role, ofHundred],
    )
  await answerNaN('canary', 4)
  const found = judgeGate(spec, await look())
  expect(found).toMatchObject({ verdict: 'hold', text: expect.stringContaining('is NaN or infinite for 4 % of 500 entities') as string })
  // as often as the champion
  await answerNaN('champion', 4)
  expect(judgeGate(spec, await look())).toMatchObject({ verdict: 'advance' })
})

test('the gates of a look read the log once, and again only after a fiftieth of the time', async () => {
  const { db } = opened()
  await logStep({ canary: 100, champion: 300 }, 0, 0)
  let reads = 0
  const query: typeof db.query = (text, values) => {
    reads += text.split('lockstep.prediction_log').length - 1
    return db.query(text, values)
  }
  const lookAt = async (now: number, before: readonly JsonValue[] | null): Promise<JsonValue[]> => {
    reads = 0
    const context = { ...contextOf(undefined, { from: step.from, to: now }), now, db: { ...db, query } }
    const found: JsonValue[] = []
    for (const [i, each] of gates.entries()) found.push(await gatherGate(context, each, before?.[i] ?? null))
    return found
  }
  const first = await lookAt(step.to, null)
  expect(reads).toBe(1)
  expect(first).toMatchObject([
    { rows: { candidate: 100 } },
    { entities: { candidate: 100, champion: 300 } },
    { candidate: 100, champion: 300 },
  ])
  const second = await lookAt(step.to + 0.1 * hour, first)
  expect([reads, second]).toEqual([0, first])
  await lookAt(step.to + 0.5 * hour, second)
  expect(reads).toBe(1)
})
