import { loadCatalog } from '../../registry/catalog.ts'
import { beginTraining } from '../../registry/trainings/begin-run.ts'
import type { TrainingSpec } from '../../registry/trainings/training-spec.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { declared, servingSet } from './definitions.ts'

export const day = 86_400_000_000
/** Runs by a schedule. */
const weekly: TrainingSpec = {
  name: 'weekly',
  model: 'delay',
  spine: { sql: "select airport, at, late from labels where at >= '{from}' and at < '{to}'" },
  label: 'late',
  output: null,
  time: null,
  asOf: 'at',
  windowMicros: 90 * day,
  matureMicros: 21 * day,
  testMicros: 7 * day,
  format: 'parquet',
  trainer: 'train_delay.py',
  timeoutMicros: day,
  parameters: { depth: 6 },
  require: [{ metric: 'auc', atLeast: 0.8 }],
  deploy: { rollout: 'default' },
  schedule: '0 4 * * 1',
}
/** Runs when asked to. */
const asked: TrainingSpec = { ...weekly, name: 'asked', require: [], parameters: {}, matureMicros: 0, deploy: 'nothing', schedule: null }

export const trainingSet = { ...servingSet, trainings: [declared(weekly), declared(asked)] }

/** Begins a run that is in the past, as a request does. */
export async function beginRun(db: Database, at: number): Promise<number> {
  const catalog = await loadCatalog(db)
  const { job } = await beginTraining({ db, catalog, worker: 'test', by: { actor: 'ada' } }, 'weekly', at)
  await db.query('update lockstep.jobs set submitted_at = $2 where id = $1', [job.id, new Date(at / 1000)])
  return job.id
}

/** Ends a run as a worker does. */
export async function endRun(
  db: Database,
  job: number,
  at: number,
  fields: { readonly result?: object; readonly error?: object },
): Promise<void> {
  await db.query('update lockstep.jobs set state = $2, result = $3, error = $4, finished_at = $5 where id = $1', [
    job,
    fields.error === undefined ? 'done' : 'failed',
    JSON.stringify(fields.result ?? null),
    fields.error === undefined ? null : JSON.stringify(fields.error),
    new Date(at / 1000),
  ])
}

/** The result of a run of `weekly`. */
export const made = (outcome: 'registered' | 'refused', auc: number) => ({
  outcome,
  dataset: '3f0c2a',
  rows: { train: 900, test: 100 },
  version: outcome === 'registered' ? 4 : null,
  known: false,
  metrics: { auc },
  parameters: {},
  evaluation: {
    output: 'probabilities',
    rows: 100,
    candidate: { auc: { value: auc, low: auc - 0.1, high: auc + 0.1 }, logLoss: { value: 0.4, low: null, high: null } },
    champion: 3,
    championFigures: { auc: { value: 0.6, low: 0.5, high: 0.7 } },
    differences: { auc: { value: auc - 0.6, low: auc - 0.65, high: auc - 0.55 } },
    notes: ['too few rows for F1'],
  },
  decisions: [{ requirement: weekly.require[0], holds: auc >= 0.8, text: `auc is ${auc}` }],
  deployed: outcome === 'registered' ? 'started a rollout of version 4' : null,
  log: 'epoch 1',
  seconds: { dataset: 1, trainer: 2 },
})
