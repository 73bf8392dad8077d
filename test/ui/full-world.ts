import { Registry } from 'prom-client'
import { keepDeadLetters } from '../../materializer/streams/dead-letters.ts'
import { recordEvaluation } from '../../monitoring/alerts/record-evaluation.ts'
import { analyzeRun, requireRun } from '../../monitoring/experiments/analyze-run.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { startExperiment } from '../../registry/experiments/change-experiment.ts'
import { promoteModel } from '../../registry/models/promote.ts'
import { startRollout } from '../../registry/rollouts/change-rollout.ts'
import { beginTraining } from '../../registry/trainings/begin-run.ts'
import type { TrainingSpec } from '../../registry/trainings/training-spec.ts'
import { createPipelineMetrics } from '../../serving/streaming/pipeline-metrics.ts'
import { createPipelineMinutes } from '../../serving/streaming/pipeline-minutes.ts'
import { pausePipeline } from '../../serving/streaming/pipeline-state.ts'
import { createRandom } from '../../statistics/random.ts'
import { checked, clockMonitor, hookAt, minute, result } from '../monitoring/alerts/monitors.ts'
import { declared, servingSet } from '../serving/definitions.ts'
import { prices, withExperiments } from '../serving/experiment-set.ts'
import { landingsPipeline } from '../serving/streaming/pipeline-world.ts'
import type { World } from '../serving/world.ts'
import { createWorld, noon } from '../serving/world.ts'
import { look, storeModelReports, writeOperations } from './full-figures.ts'

/** Text that looks like markup. Pages must show it as text. */
export const hostile = `<img src=x onerror=alert(1)>"'</script><script>alert(2)</script>\u202e javascript:alert(3)`

const described = <Declared extends { readonly operational: object }>(declared: readonly Declared[]) =>
  declared.map((each) => ({ ...each, operational: { ...each.operational, description: hostile, owner: hostile, tags: [hostile] } }))
const files = { patterns: [`s3://lake/${hostile}`], fromMicros: null, schedule: '0 * * * *' }
const stream = { kind: 'redis', stream: hostile, group: 'landings', field: 'data' } as const
const more: Readonly<Record<string, object>> = { balances: { files }, landings: { stream } }
const weather = { ...prices, name: 'weather', layer: null }
const { sources, experiments } = withExperiments(1, {
  ...weather,
  metrics: weather.metrics.flatMap((metric) => [metric, { ...metric, name: 'cost_again', role: 'guardrail', margin: 0.1 }]),
})
const training = (name: string): TrainingSpec => ({
  name,
  model: 'delay',
  spine: { sql: "select airport, at, late from labels where at >= '{from}' and at < '{to}'" },
  label: hostile,
  output: null,
  time: null,
  asOf: 'at',
  windowMicros: 90 * 86_400_000_000,
  matureMicros: 21 * 86_400_000_000,
  testMicros: 7 * 86_400_000_000,
  format: 'parquet',
  trainer: 'train_delay.py',
  timeoutMicros: 3_600_000_000,
  parameters: { note: hostile },
  require: [{ metric: 'auc', atLeast: 0.8 }],
  deploy: 'promote',
  schedule: name === 'idle' ? null : '0 4 * * 1',
})
const pipelines = ['score', 'score_waits', 'score_paused', 'score_idle'] as const
const hostileSet = {
  ...servingSet,
  views: described(servingSet.views),
  sources: described(sources).map((each) => ({ ...each, operational: { ...each.operational, ...more[each.spec.name] } })),
  experiments: described(experiments),
  pipelines: pipelines.map((name) =>
    declared(landingsPipeline({ name, group: name, sink: { kind: 'nats', stream: hostile, subject: hostile } })),
  ),
  trainings: ['weekly', 'idle'].map((name) => declared(training(name))),
  services: described(servingSet.services),
  models: described(servingSet.models),
}

/** The definitions of a project that has none yet. */
export const nothing = {
  ...servingSet,
  entities: [],
  sources: [],
  views: [],
  onDemand: [],
  services: [],
  models: [],
  outcomes: [],
  channels: [],
  monitors: [],
  experiments: [],
  batches: [],
  code: new Map(),
}

/** A world in which each page has something to show, with hostile text wherever people and clients write. */
export async function createFullWorld(): Promise<World> {
  const full = await createWorld('embedded', hostileSet)
  await full.db.script(`
    insert into lockstep.audit_log (actor, action, subject) select 'old', 'apply', 'change ' || i from generate_series(1, 60) i;
    insert into lockstep_source.landings (airport, at, delay) values
      ('ATL', '2001-07-01T09:30:00Z', 7), ('ATL', '2001-07-01T10:00:00Z', 5), ('ATL', '2001-07-01T11:30:00Z', 25),
      ('ATL', '2001-07-01T11:45:00Z', 40), ('ATL', '2001-07-01T12:30:00Z', 99),
      ('${hostile.replaceAll("'", "''")}', '2001-07-01T11:00:00Z', 1)`)
  await full.db.query(
    `insert into lockstep.source_files (source, path, etag, bytes, rows, columns) select 'balances', path, $2, 2500000, 1200, columns
     from (values ($1, '{}'::text[]), ('s3://lake/day=2001-07-01/part-0.parquet', '{account,at,balance,seen}')) f (path, columns)`,
    [files.patterns[0], hostile],
  )
  for (const view of ['airport_required', 'airport_delays']) await full.materialize(view)
  await full.push('delay', 'logistic')
  await full.push('delay', 'logistic', 'second')
  await promoteModel(full.db, 'delay', 1, { actor: hostile, reason: hostile })
  const { rollout } = await startRollout(full.db, 'delay', { version: 2, plan: 'default' }, { actor: hostile, reason: hostile })
  await look(full, rollout, hostile)
  await recordEvaluation(full.db, clockMonitor('clock'), hookAt('https://alerts.example'), minute, checked(result('breach')))
  await writeOperations(full, hostile)
  await storeModelReports(full, hostile)
  await analyze(full)
  await runPipelines(full)
  await runTrainings(full)
  return full
}

const day = 86_400_000_000
const units = 600

/** An experiment of ten days, with three analyses. Each day has new units, and the treated ones cost less. */
async function analyze({ db }: World): Promise<void> {
  await startExperiment(db, 'weather', {}, { actor: hostile })
  await db.query('update lockstep.experiments set started_at = $1', [new Date((noon - 10 * day) / 1000)])
  const run = await requireRun(db, 'weather')
  const random = createRandom(4)
  const exposed = Array.from({ length: units }, (_, i) => ({
    airport: i === 0 ? hostile : `A${i}`,
    variant: i % 2 === 0 ? 'control' : 'treatment',
    at: new Date((noon - 9 * day + (i / units) * 7 * day) / 1000),
    cost: 100 - (i % 2) * 20 + 10 * random.normal(),
  }))
  await db.query(
    `with exposed as (select * from json_to_recordset($2) r (airport text, variant text, at timestamptz, cost float8)),
     counted as (
       insert into lockstep.exposures (experiment_id, unit, variant, exposed_at, last_at, rows, propensity, entity)
       select $1, airport, variant, at, at, 1, 0.5, json_build_object('airport', airport) from exposed)
     insert into lockstep_source.landed (airport, at, known_at, cost)
     select airport, at + interval '1 hour', at + interval '2 hours', cost from exposed`,
    [run.id, JSON.stringify(exposed)],
  )
  const catalog = await loadCatalog(db)
  for (const days of [6, 3, 0]) await analyzeRun(db, catalog, run, noon - days * day)
}

/** Half an hour of pipelines: one works, one waits and tries again, one is paused, and no process runs the last. */
async function runPipelines({ db }: World): Promise<void> {
  const [works, waits, paused] = pipelines
  let now = noon
  const { metrics, began, write } = createPipelineMinutes(createPipelineMetrics(new Registry()), () => now)
  began(works)
  began(waits)
  for (let minutes = 30; minutes >= 0; minutes--) {
    now = noon - minutes * 60_000_000
    metrics.messages(works, { answered: 300 + 10 * minutes, dead: minutes === 7 ? 1 : 0 })
    metrics.lag(works, { waiting: 40 + minutes, pending: 2 })
    metrics.age(works, 1 + minutes / 10)
    metrics.failure(waits, new Error(hostile))
    await write(db)
  }
  await pausePipeline(db, paused, { actor: hostile })
  const letter = { message: hostile, body: Buffer.from(hostile), reason: hostile, error: hostile }
  for (const source of [`pipeline ${works}`, 'landings']) await keepDeadLetters(db, source, stream, [letter])
}

/** Runs of a training: one refused, one failed, one that registered a version. That of another one has no worker. */
async function runTrainings({ db }: World): Promise<void> {
  const catalog = await loadCatalog(db)
  const begin = async (name: string, at: number) =>
    (await beginTraining({ db, catalog, worker: 'trainer:1', by: { actor: hostile } }, name, at)).job.id
  const figure = (value: number) => ({ value, low: value - 0.01, high: value + 0.01 })
  const evaluation = {
    output: 'probabilities',
    rows: 6210,
    candidate: { auc: figure(0.831), logLoss: figure(0.41), accuracy: figure(0.8) },
    champion: 1,
    championFigures: { auc: figure(0.81), logLoss: figure(0.4) },
    differences: { auc: figure(0.021), logLoss: figure(0.005) },
    notes: [hostile],
  }
  const made = {
    dataset: '3f0c2a4e',
    rows: { train: 90_412, test: 6_210 },
    known: false,
    metrics: { auc: 0.8312345, [hostile]: 2 },
    parameters: { note: hostile },
    evaluation,
    log: `epoch 1\n${hostile}`,
    seconds: { dataset: 12, trainer: 340 },
  }
  const decided = (holds: boolean) => [{ requirement: { metric: 'auc', atLeast: 0.8 }, holds, text: `auc is ${hostile}` }]
  const plan = {
    dataset: made.dataset,
    createdAt: '2001-07-01T04:00:00Z',
    from: noon - 111 * day,
    split: noon - 28 * day,
    to: noon - 21 * day,
    arrivedBefore: 1,
  }
  const ends = [
    { state: 'done', result: { ...made, outcome: 'refused', version: null, decisions: decided(false), deployed: null } },
    { state: 'failed', error: { code: 'WRITE_FAILED', message: hostile, details: { log: hostile } } },
    { state: 'done', result: { ...made, outcome: 'registered', version: 2, decisions: decided(true), deployed: hostile } },
  ]
  for (const [i, { state, result = null, error = null }] of ends.entries()) {
    const at = new Date((noon - (3 - i) * 7 * day) / 1000)
    await db.query(
      `update lockstep.jobs set state = $2, result = $3, error = $4, plan = $5, submitted_at = $6, finished_at = $6::timestamptz + interval '6 minutes' where id = $1`,
      [
        await begin('weekly', at.getTime() * 1000),
        state,
        JSON.stringify(result),
        error === null ? null : JSON.stringify(error),
        JSON.stringify(plan),
        at,
      ],
    )
  }
  await db.query('update lockstep.jobs set submitted_at = $2 where id = $1', [
    await begin('idle', noon - day),
    new Date((noon - day) / 1000),
  ])
}

/** A page of each route; two pages of one route do not follow each other. @param receipt of an answered request */
export const pathsOf = (receipt: string) => [
  '',
  'alerts',
  'jobs',
  'alerts?alert=1',
  'catalog',
  'lineage?focus=airport_delays@1',
  'sources/balances',
  'views/airport_delays@1',
  'features/airport_delays@1.lastDelay',
  'services/flight@1',
  'features/airport_typed@1.city',
  'sources/landings',
  'views/flight_context@1',
  'models/delay',
  'rollouts/delay',
  'experiments/weather',
  'pipelines',
  'pipelines/score',
  'trainings',
  'trainings/weekly',
  'explain?service=flight&entity=airport:ATL',
  `catalog?q=${encodeURIComponent(hostile)}`,
  'explain',
  'receipt',
  receipt,
  `explain?service=flight&entity=${encodeURIComponent(JSON.stringify({ airport: hostile }))}`,
  'parity',
  'keys',
  'audit',
  'plan',
]

/** Pages that have nothing to show in a project that has none yet, and offer the commands that change that. */
export const emptyPaths = [
  '',
  'alerts',
  'jobs',
  'catalog',
  'lineage',
  'trainings',
  'pipelines',
  'catalog?kind=rollout',
  'explain',
  'receipt',
  'plan',
  'parity',
  'keys',
  'audit',
]

/** Pages of the full world that have nothing to show yet. */
export const barePaths = ['models/echo', 'rollouts/echo', 'features/airport_typed@1.count', 'catalog?kind=dataset']

/** Pages of what a project does not have. */
export const missingPaths = [
  'models/none',
  'rollouts/none',
  'views/none@1',
  'features/none@1.x',
  `sources/${encodeURIComponent(hostile)}`,
  `receipt/${encodeURIComponent(hostile)}`,
  `lineage?focus=${encodeURIComponent(hostile)}`,
  'experiments/none',
  'pipelines/none',
  'trainings/none',
  'nothing',
]

/** A plan that apply would refuse. */
export const refused = {
  changes: [{ kind: 'view', label: 'airport_delays@1', status: 'conflict', summary: hostile, nextVersion: 2 }],
  problems: [{ message: hostile }],
  breaks: [{ broken: 'model "delay" version 1', cause: 'feature view "airport_delays@1"' }],
}
