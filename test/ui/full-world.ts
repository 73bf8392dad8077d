import type { ExperimentData } from '../../serving/dashboard/contract/experiment.ts'
import type { DeadLettersData, PipelineData, PipelineLine, PipelinesData } from '../../serving/dashboard/contract/pipelines.ts'
import { recordEvaluation } from '../../monitoring/alerts/record-evaluation.ts'
import { promoteModel } from '../../registry/promote.ts'
import { startRollout } from '../../registry/rollouts/change-rollout.ts'
import { checked, clockMonitor, hookAt, minute, result } from '../monitoring/alerts/monitors.ts'
import { servingSet } from '../serving/definitions.ts'
import type { World } from '../serving/world.ts'
import { createWorld } from '../serving/world.ts'

/** What no page may take for anything but text. */
export const hostile = `<img src=x onerror=alert(1)>"'</script><script>alert(2)</script>\u202e javascript:alert(3)`

const described = <Declared extends { readonly operational: object }>(declared: readonly Declared[]) =>
  declared.map((each) => ({ ...each, operational: { ...each.operational, description: hostile, owner: hostile, tags: [hostile] } }))
const files = { patterns: [`s3://lake/${hostile}`], fromMicros: null, schedule: '0 * * * *' }
const hostileSet = {
  ...servingSet,
  views: described(servingSet.views),
  sources: described(servingSet.sources).map((each) =>
    each.spec.name === 'balances' ? { ...each, operational: { ...each.operational, files } } : each,
  ),
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
  await startRollout(full.db, 'delay', { version: 2, plan: 'default' }, { actor: 'ann' })
  await recordEvaluation(full.db, clockMonitor('clock'), hookAt('https://alerts.example'), minute, checked(result('breach')))
  return full
}

const day = 86_400_000
const noon = Date.parse('2001-07-01T12:00:00Z')

const experiment: ExperimentData = {
  name: 'weather',
  model: 'delay',
  description: hostile,
  state: 'running',
  startedAt: '2001-06-20T00:00:00Z',
  endedAt: null,
  analyzedAt: '2001-07-02T12:00:00.000Z',
  analyses: [1, 2, 3].map((t) => new Date(noon + t * day).toISOString()),
  method: 'sequential, alpha 0.05',
  verdict: hostile,
  variants: ['control', hostile].map((variant, i) => ({ variant, version: i + 1, weight: 0.5, units: 600, rows: 600 })),
  metrics: [
    {
      metric: hostile,
      role: 'primary',
      better: 'lower',
      variant: 'treatment',
      says: hostile,
      lift: { value: -0.1, low: -0.15, high: -0.05 },
      difference: { value: -10, low: -15, high: -5 },
      significant: true,
      series: {
        finding: hostile,
        series: [
          {
            label: hostile,
            unit: 'share',
            points: [1, 2, 3].map((t) => ({ t: noon + t * day, v: -0.1, low: -0.3 / t - 0.1, high: 0.3 / t - 0.1 })),
          },
          {
            label: 'not adjusted',
            unit: 'share',
            grey: true,
            points: [1, 2, 3].map((t) => ({ t: noon + t * day, v: -0.1, low: -0.1 / t - 0.1, high: 0.1 / t - 0.1 })),
          },
        ],
        marks: { label: 'Decides too early', points: [{ t: noon + 2 * day, text: hostile }] },
      },
    },
  ],
  health: (['ok', 'warning', 'failing', 'unknown'] as const).map((state) => ({ check: state, state, text: hostile })),
  exposures: { finding: '600 units', series: [{ label: 'control', unit: 'count', points: [{ t: noon, v: 600 }] }] },
  progress: { units: 600, planned: 1000, immatureShare: 0.1, unitsByDay: 50, daysLeft: 8 },
}

const moment = '2001-07-01T11:59:00Z'
const pipelines = (['running', 'waits', 'paused', 'no worker', 'broken'] as const).map((state, i): PipelineLine => ({
  name: i === 0 ? 'score' : `score ${state}`,
  state,
  says: hostile,
  source: 'landings',
  model: 'delay',
  version: i === 0 ? null : '1',
  reads: i === 0 ? hostile : null,
  writesTo: hostile,
  workers: i,
  waiting: i === 0 ? 40 : null,
  pending: i === 0 ? 2 : null,
  perSecond: 5,
  oldestSeconds: 1.5,
  deadLetters: i,
  lastError: i === 1 ? { text: hostile, at: moment } : null,
}))
const line = pipelines[0] as PipelineLine
const chart = { finding: hostile, series: [{ label: 'messages', unit: 'perSecond' as const, points: [{ t: noon, v: 5 }] }] }
const pipeline: PipelineData = {
  pipeline: { ...line, deadLetters: 1 },
  group: hostile,
  guarantee: hostile,
  ledger: true,
  replays: 1,
  replayedAt: moment,
  replayedFrom: hostile,
  throughput: chart,
  lag: chart,
  age: chart,
  dead: [{ reason: hostile, count: 1, lastAt: moment }],
  sourceDead: 2,
  revision: '1',
}
const letter = { id: '1', message: hostile, reason: hostile, error: hostile, bytes: 20, at: moment }

/**
 * What read models answer of experiments and pipelines, which take a thousand units and a stream to make. Tests of
 * `serving/dashboard` have real ones.
 */
export const planted: Readonly<Record<string, unknown>> = {
  'experiments/weather/series': experiment,
  pipelines: { pipelines } satisfies PipelinesData,
  'pipelines/score': pipeline,
  'pipelines/score/dead-letters': { letters: [letter], total: 1 } satisfies DeadLettersData,
}
