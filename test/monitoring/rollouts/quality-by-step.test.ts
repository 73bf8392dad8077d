import { dayOf, predictionPartitions } from '../../../monitoring/day-partitions.ts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { JsonValue } from '../../../kernel/specs/view-spec.ts'
import { gatherGate, judgeGate } from '../../../monitoring/rollouts/gates/all-gates.ts'
import type { GateContext } from '../../../monitoring/rollouts/gates/gate.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import { readRunningRollouts } from '../../../registry/rollouts/rollout.ts'
import { gate, parsePlan } from '../../../registry/rollouts/plan-schema.ts'
import type { OpenedDatabase } from '../../opened-database.ts'
import { openServer } from '../../opened-database.ts'
import { applyPayments, hour, start } from '../outcomes/payments.ts'

// Losses change from the first step to the second one, and so does the candidate's share of the rows.

let opened: OpenedDatabase
let catalog: Catalog
beforeAll(async () => {
  opened = await openServer()
  catalog = await applyPayments(opened.db)
  await predictionPartitions.create(opened.db, new Set([dayOf(start)]))
})
afterAll(() => opened?.close())

interface Rows {
  readonly atHour: number
  readonly rows: number
  readonly loss: number
}

/** A rollout that had 10 % from the hour 0 on, and 50 % from the hour 10 on. */
async function rollOut(
  candidate: readonly Rows[],
  champion: readonly Rows[],
  cards: number,
  championSinceHour: number | null = null,
): Promise<GateContext> {
  const { db } = opened
  const time = (atHour: number) => start / 1e6 + atHour * 3600
  await db.query(`DELETE FROM lockstep.rollouts`)
  await db.query('DELETE FROM lockstep.prediction_log')
  await db.query('DELETE FROM lockstep_source.reports')
  const [row] = await db.query<{ id: string }>(
    `INSERT INTO lockstep.rollouts (model, version, state, share, unit, salt, plan, step, started_by, started_at, since)
     VALUES ('fraud', 2, 'running', 0.5, 'card', 'salt', $1, 1, 'test', to_timestamp($2), to_timestamp($3)) RETURNING id`,
    [JSON.stringify(parsePlan({ steps: [{ share: 0.1 }, { share: 0.5 }] }, [])), time(0), time(10)],
  )
  for (const [action, atHour, before, after] of [
    ['start', 0, null, 0.1],
    ['pause', 3, 0.1, 0.1],
    ['advance', 10, 0.1, 0.5],
  ] as const)
    await db.query(
      `INSERT INTO lockstep.rollout_decisions (rollout, revision, at, action, decided_by, reasons, share_before, share_after)
       VALUES ($1, 0, to_timestamp($2), $3, 'test', '[]', $4, $5)`,
      [row?.id, time(atHour), action, before, after],
    )
  const logged = [
    ...candidate.map((each) => ({ ...each, role: 'canary', version: 2 })),
    ...champion.map((each) => ({ ...each, role: 'champion', version: 1 })),
  ].flatMap(({ atHour, rows, loss, role, version }) =>
    Array.from({ length: rows }, (_, i) => ({
      id: `${role}${atHour}.${i}`,
      card: `${role}${i % cards}`,
      at: time(atHour + i / rows),
      role,
      version,
      loss: loss + (i % 7) - 3,
    })),
  )
  await db.query(
    `INSERT INTO lockstep.prediction_log (at, request_id, prediction_id, entity, model, version, service, service_fingerprint, as_of,
       entities, keys, request, features, statuses, reads, outputs, latency_micros, degraded, skewed, role)
     SELECT to_timestamp(at), id, id, 0, 'fraud', version, 'fraud_features@1', '', to_timestamp(at), '{}', json_build_object('card', card), '{}',
       '{"paid1h":3}', '{}', '[]', '{"probability":0.5}', 1, false, false, role
     FROM json_to_recordset($1) r (id text, card text, at float8, role text, version int)`,
    [JSON.stringify(logged)],
  )
  await db.query(
    `INSERT INTO lockstep_source.reports (card, prediction_id, happened_at, reported_at, loss, is_fraud)
     SELECT card, id, to_timestamp(at), to_timestamp(at), loss, false FROM json_to_recordset($1) r (id text, card text, at float8, loss float8)`,
    [JSON.stringify(logged)],
  )
  const rollout = (await readRunningRollouts(db.kysely)).get('fraud')
  if (rollout === undefined || rollout.plan === null) throw new Error('No rollout runs.')
  const now = start + 60 * hour
  const setAt = championSinceHour === null ? null : new Date(time(championSinceHour) * 1000)
  const aliases = new Map(setAt === null ? [] : [['champion', { model: 'fraud', alias: 'champion', version: 1, former: [3], setAt }]])
  const model = { ...catalog.model('fraud'), aliases }
  return {
    db,
    store: null,
    catalog,
    model,
    rollout: { ...rollout, plan: rollout.plan },
    champion: 1,
    counts: { candidate: none, champion: none, championOf: 'the same time', championIn: { from: start + 10 * hour, to: now } },
    from: start + 10 * hour,
    now,
    readSecret: () => '',
    allowPrivate: false,
    signal: new AbortController().signal,
  }
}
const none = {} as GateContext['counts']['candidate']
const lossGate = { kind: 'business', outcome: 'labelled', figure: 'loss', better: 'lower', margin: 5, samples: 100 } as const
const spec = gate(lossGate)

const mean = (sides: readonly Rows[]): number =>
  sides.reduce((sum, { rows, loss }) => sum + rows * loss, 0) / sides.reduce((sum, { rows }) => sum + rows, 0)

/** The evidence of a rollout that has had one step with all of these rows. */
function inOneStep(evidence: JsonValue): JsonValue {
  const { steps, candidate, champion, ...others } = evidence as Readonly<Record<string, JsonValue>>
  expect(steps).toHaveLength(2)
  return { ...others, candidate, champion, steps: [{ share: 0.5, candidate, champion }] } as JsonValue
}

describe('a gate of outcomes', () => {
  it('advances a better candidate that has most of its rows in a worse time', async () => {
    const candidate = [
      { atHour: 1, rows: 40, loss: 8 },
      { atHour: 11, rows: 200, loss: 95 },
    ]
    const champion = [
      { atHour: 1, rows: 360, loss: 10 },
      { atHour: 11, rows: 200, loss: 100 },
    ]
    // over both steps it looks much worse
    expect(mean(candidate) - mean(champion)).toBeGreaterThan(30)
    const evidence = await gatherGate(await rollOut(candidate, champion, 1000), spec, null)
    expect(judgeGate(spec, evidence)).toEqual({
      verdict: 'advance',
      text: expect.stringMatching(
        /is 80\.5 with the candidate \(240 rows\) and 85 with the champion \(560 rows, compared within 2 of 2 steps\)/,
      ) as string,
    })
    expect(judgeGate(spec, inOneStep(evidence)).verdict).toBe('roll back')
    // the stored evidence decides again
    expect(judgeGate(spec, JSON.parse(JSON.stringify(evidence)) as typeof evidence)).toEqual(judgeGate(spec, evidence))
  })

  it('reads an outcome once for all gates of a look', async () => {
    const rows = [{ atHour: 11, rows: 200, loss: 10 }]
    const context = await rollOut(rows, rows, 1000)
    const { db } = context
    let snapshots = 0
    const snapshot: typeof db.snapshot = (read) => {
      snapshots++
      return db.snapshot(read)
    }
    const counted = { ...context, db: { ...db, snapshot } }
    const one = await gatherGate(counted, spec, null)
    const ofOne = snapshots
    expect(ofOne).toBeGreaterThan(0)
    expect(await gatherGate(counted, gate({ ...lossGate, margin: 1 }), null)).toEqual({ ...(one as object), margin: 1 })
    expect(snapshots).toBe(ofOne)
  })

  it('rolls back a worse candidate that has most of its rows in a better time', async () => {
    const candidate = [
      { atHour: 1, rows: 40, loss: 130 },
      { atHour: 11, rows: 200, loss: 40 },
    ]
    const champion = [
      { atHour: 1, rows: 360, loss: 100 },
      { atHour: 11, rows: 200, loss: 10 },
    ]
    expect(mean(candidate) - mean(champion)).toBeLessThan(-10)
    // cards come back, in both steps
    const evidence = await gatherGate(await rollOut(candidate, champion, 120), spec, null)
    expect(judgeGate(spec, evidence)).toMatchObject({ verdict: 'roll back' })
    const few = await gatherGate(await rollOut(candidate, champion, 40), spec, null)
    expect(judgeGate(spec, few)).toMatchObject({ verdict: 'hold', text: expect.stringContaining('weigh as 40 ') as string })
    expect(judgeGate(spec, inOneStep(evidence)).verdict).toBe('advance')
    expect(evidence).toMatchObject({ candidate: { n: 240, repeats: true }, steps: [{ share: 0.1 }, { share: 0.5, champion: { n: 200 } }] })
  })

  it('compares with the present champion only since it became it', async () => {
    // the hour 11 was a bad one, in which another version was the champion
    const candidate = [
      { atHour: 11, rows: 200, loss: 95 },
      { atHour: 13, rows: 200, loss: 10 },
    ]
    const champion = [{ atHour: 13, rows: 200, loss: 12 }]
    const evidence = await gatherGate(await rollOut(candidate, champion, 1000, 12), spec, null)
    expect(evidence).toMatchObject({ candidate: { n: 200 }, champion: { n: 200 }, steps: [{ share: 0.5 }] })
    expect(judgeGate(spec, evidence)).toMatchObject({ verdict: 'advance' })
  })

  it('leaves out a step without the champion, and waits while no step has both', async () => {
    const all = { atHour: 11, rows: 300, loss: 10 }
    const first = { atHour: 1, rows: 150, loss: 10 }
    const some = await gatherGate(await rollOut([first, { ...all, loss: 90 }], [first], 1000), spec, null)
    expect(judgeGate(spec, some)).toMatchObject({ verdict: 'advance', text: expect.stringContaining('within 1 of 2 steps') as string })
    const apart = await gatherGate(await rollOut([all], [first], 1000), spec, null)
    expect(judgeGate(spec, apart)).toEqual({
      verdict: 'not enough evidence',
      text: 'There is no loss by "labelled" yet: no step has 30 mature rows of the candidate and of the champion.',
    })
  })
})
