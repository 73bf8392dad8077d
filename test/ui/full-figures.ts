import { expect, vi } from 'vitest'
import { storeParity } from '../../monitoring/parity/stored-parity.ts'
import { decide } from '../../monitoring/rollouts/decide.ts'
import { actOnDecision } from '../../registry/rollouts/act-on-decision.ts'
import type { Rollout } from '../../registry/rollouts/rollout.ts'
import type { World } from '../serving/world.ts'
import { noon } from '../serving/world.ts'

/** The check of a rollout at its first step: of the first gate there is evidence, of the others why there is none. */
export async function look({ db }: World, rollout: Rollout, failure: string): Promise<void> {
  const { plan } = rollout
  if (plan === null) throw new Error('The rollout has no plan.')
  const answered = (requests: number, failed: number) => ({ requests, failed, codes: {} })
  const errors = { candidate: answered(300, 2), champion: answered(1200, 1), championOf: 'the same time' }
  const evidence = {
    micros: 5e6,
    rows: 300,
    bypasses: 0,
    bypassedRows: 0,
    gates: plan.gates.map((_, i) => (i === 0 ? errors : null)),
    failures: plan.gates.map((_, i) => (i === 0 ? null : failure)),
  }
  await actOnDecision(db, rollout, decide(plan, 0, evidence), evidence)
}

/** Quality with calibration, and drift of a number and of a text, of three hours. */
export async function storeModelReports({ db }: World, text: string): Promise<void> {
  const steps = [
    { from: 0.1, to: 0.3, share: 0.25, low: 0.15, high: 0.22, rows: 60 },
    { from: 0.5, to: 0.7, share: 0.6, low: 0.5, high: 0.7, rows: 40 },
  ]
  const error = { value: 0.02, low: null, high: null, n: 100, reason: null }
  const figures = { auc: { value: 0.7, low: 0.65, high: 0.75, n: 100 } }
  const counts = { predictions: 120, judged: 100, immature: 15, withoutOutcome: 5 }
  const quality = { total: { ...counts, figures, calibration: { error, curve: { n: 100, steps } } } }
  const missing = { baseline: 0.01, window: 0.1, reasons: [{ status: 'NULL_VALUE', baseline: 0.01, window: 0.1 }] }
  const drifted = { drifted: true, distances: { psi: 0.3 }, effect: 0.2, adjustedP: 0.0001, untested: null, harm: 0.4, missing }
  const bin = (label: string, baseline: number, window: number) => ({ label, baseline, window })
  const number = {
    ...drifted,
    column: 'lastDelay',
    causes: [{ text }],
    mean: { baseline: 10, window: 20 },
    outOfRange: { baseline: 0, window: 0.1 },
    otherCategories: null,
    bins: [bin('-3.5555555 to 5.0626262', 0.7, 0.4), bin('5.0626262 to 60', 0.2, 0.5), bin('null', 0.1, 0.1)],
  }
  const category = {
    ...drifted,
    column: 'city',
    causes: [],
    mean: { baseline: null, window: null },
    outOfRange: null,
    otherCategories: { baseline: 0, window: 0 },
    bins: [bin(text, 0.1, 0.8), bin('nowhere', 0.9, 0.2)],
  }
  const window = { from: '2001-06-30T11:00:00Z', to: '2001-07-01T11:00:00Z' }
  const drift = { version: 1, rows: 100, window, baseline: { origins: [{ kind: 'dataset' }] }, alpha: 0.01, minPsi: 0.1 }
  await db.query(
    `insert into lockstep.model_figures (model, kind, version, as_of, report)
     select model, kind, 1, '2001-07-01T11:00:00Z'::timestamptz - hour * interval '1 hour', report::json
     from (values ('delay', 'quality', $1), ('delay', 'drift', $2), ('typed', 'drift', $3)) f (model, kind, report), generate_series(0, 2) hour`,
    [quality, { ...drift, model: 'delay', columns: [number] }, { ...drift, model: 'typed', columns: [category] }].map((each) =>
      JSON.stringify(each),
    ),
  )
}

/** Served values of two hours, some of which differ from history. @param example the id of an answered request */
export async function storeParityOf({ db }: World, example: string): Promise<void> {
  const equal = { late: 0, stale: 0, tie: 0, ttl: 0, erased: 0, other: 0 }
  const features = [
    { service: 'flight@1', feature: 'lastDelay', view: 'airport_delays@1', ...equal, equal: 8, late: 2, erased: 3 } as const,
  ]
  const of = { service: 'flight@1', feature: 'lastDelay', model: 'delay', version: 1, requestId: example, entity: 0, keys: {} } as const
  const shown = { asOf: '2001-07-01T11:10:00Z', logged: { value: 1, status: 'PRESENT', eventTime: null }, history: null } as const
  const skipped = { skipped: { definitions: 0, degraded: 0, unreadable: 0 }, skippedBecause: [] }
  const report = { vectors: 10, ...skipped, features, examples: [{ verdict: 'late' as const, ...of, ...shown }] }
  for (const hours of [1, 2]) await storeParity(db, report, noon - hours * 3_600_000_000)
}

/** Changes the answer as of a moment to one that training would not see, once it is in the log. */
export async function changeAnswer({ db }: World, asOf: string): Promise<void> {
  const changed = `update lockstep.prediction_log set features = (features::jsonb || '{"lastDelay": 999}')::json where as_of = $1 returning 1`
  await vi.waitFor(async () => expect(await db.query(changed, [asOf])).toHaveLength(1), 60_000)
}

/** A job that runs and one that failed, an alert, a change and a failed notification, whose texts are all the same. */
export async function writeOperations({ db }: World, text: string): Promise<void> {
  const figures = JSON.stringify({
    value: 0.3,
    threshold: 0.1,
    n: 500,
    cause: text,
    evidence: { columns: [{ column: text, state: 'breach' }] },
  })
  await db.query(
    `insert into lockstep.jobs (kind, subject, scope, spec, state, plans, finishes, cleans, lease_seconds, keep_days, chunks, chunks_done, error, submitted_by, finished_at)
     select 'backfill', $1, state, '{}', state, false, false, false, 30, 7, 10, 4, error, $1, ended
     from (values ('running', null::json, null::timestamptz), ('failed', $2, '2001-07-01T11:00:00Z')) j (state, error, ended)`,
    [text, JSON.stringify({ code: 'INTERNAL', message: text, details: {} })],
  )
  await db.query(
    `insert into lockstep.alerts (monitor, check_kind, subject, severity, state, started, notified, about, started_with, result)
     values ('model:delay', 'drift', $1, 'ticket', 'firing', $2, true, $3, $4, $4)`,
    [text, noon - 3_600_000_000, JSON.stringify({ description: text, runbook: 'javascript:alert(4)' }), figures],
  )
  await db.query('update lockstep.alert_deliveries set error = $1', [text])
  await db.query('insert into lockstep.audit_log (actor, action, subject, reason, before, after) values ($1, $1, $1, $1, $2, $2)', [
    text,
    JSON.stringify({ text }),
  ])
}
