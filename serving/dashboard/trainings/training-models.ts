import { durationText } from '../../../kernel/values/duration.ts'
import { figureTitle } from '../../../monitoring/quality/figure-titles.ts'
import { verdictOf } from '../../../monitoring/quality/paired-tally.ts'
import type { TrainingRunJson } from '../../../registry/trainings/read-runs.ts'
import { nextInstant, rolloutOfRun, runJson } from '../../../registry/trainings/read-runs.ts'
import type { TrainingEvaluation } from '../../../registry/trainings/training-run.ts'
import type { TrainingSpec } from '../../../registry/trainings/training-spec.ts'
import { trainingKind } from '../../../registry/trainings/training-spec.ts'
import { deployText, doingText, requirementText, waitText } from '../../../registry/trainings/training-text.ts'
import type { Job } from '../../../runtime/jobs/read-jobs.ts'
import { maxListedJobs, readJobs } from '../../../runtime/jobs/read-jobs.ts'
import type { TrainingRun, TrainingsData } from '../contract/trainings.ts'
import { training as trainingContract, trainings as trainingsContract } from '../contract/trainings.ts'
import { jobAt } from '../operations/jobs-model.ts'
import { findThen, registryAtMoment, registryNotes } from '../past-registry.ts'
import type { Ask } from '../read-model.ts'
import { readModel } from '../read-model.ts'

interface Declared {
  readonly spec: TrainingSpec
  readonly description: string | null
}

const maxRuns = 50

export const trainingsModel = readModel({
  path: '/trainings',
  scope: 'ui:read',
  data: trainingsContract,
  async read(ask) {
    const { trainings, notes } = await trainingLines(ask)
    return { data: { trainings }, notes }
  },
})

interface Lines {
  readonly trainings: TrainingsData['trainings']
  readonly notes: readonly string[]
}

/** Trainings by name, each with its last run. @param model only those of this model */
export async function trainingLines(ask: Ask, model?: string): Promise<Lines> {
  const { db, deps, isPast } = ask
  const { inventory, past } = isPast ? await registryAtMoment(ask) : { inventory: null, past: null }
  const all: readonly Declared[] =
    inventory === null
      ? [...deps.catalog().trainings.values()]
      : inventory.definitions.flatMap(({ kind, spec, retired }) => (kind === 'training' && !retired ? [{ spec, description: null }] : []))
  const declared = model === undefined ? all : all.filter(({ spec }) => spec.model === model)
  const jobs = declared.length === 0 ? [] : await readJobs(db, { kind: trainingKind, newest: true, limit: maxListedJobs, ...until(ask) })
  const newest = new Map(jobs.map((job) => [job.subject, job]))
  const lines: TrainingsData['trainings'][number][] = []
  for (const each of declared.toSorted((a, b) => (a.spec.name < b.spec.name ? -1 : 1))) {
    const job = newest.get(each.spec.name)
    lines.push(lineOf(ask, each, job === undefined ? null : await runThen(ask, job)))
  }
  return { trainings: lines, notes: registryNotes(past) }
}

export const trainingModel = readModel({
  path: '/trainings/:id',
  scope: 'ui:read',
  data: trainingContract,
  async read(ask) {
    const { db, deps, isPast, params } = ask
    const id = params['id'] ?? ''
    const { declared, notes } = isPast ? await declaredThen(ask, id) : { declared: deps.catalog().training(id), notes: [] }
    const { spec } = declared
    const jobs = await readJobs(db, { kind: trainingKind, subject: spec.name, limit: maxRuns, ...until(ask) })
    const runs = await Promise.all(jobs.toSorted((a, b) => b.id - a.id).map((job) => runThen(ask, job)))
    const hasParameters = Object.keys(spec.parameters).length > 0
    return {
      data: {
        training: lineOf(ask, declared, runs[0] ?? null),
        label: spec.label,
        requires: spec.require.map(requirementText),
        deploys: deployText(spec.deploy),
        window: durationText(spec.windowMicros),
        test: durationText(spec.testMicros),
        mature: spec.matureMicros === 0 ? null : durationText(spec.matureMicros),
        parameters: hasParameters ? JSON.stringify(spec.parameters) : null,
        runs,
      },
      notes,
    }
  },
})

/** @throws LockstepError `UNKNOWN_DEFINITION` */
async function declaredThen(ask: Ask, id: string): Promise<{ readonly declared: Declared; readonly notes: readonly string[] }> {
  const { inventory, node, notes } = await findThen(ask, id, ['training'], 'current')
  const found = inventory.definitions.find(({ kind, name }) => kind === 'training' && name === node.name)
  if (found?.kind === 'training') return { declared: { spec: found.spec, description: null }, notes }
  return { declared: ask.deps.catalog().training(id), notes }
}

function until({ now, isPast }: Ask): { readonly until?: number } {
  return isPast ? { until: now } : {}
}

function lineOf({ now }: Ask, { spec, description }: Declared, last: TrainingRun | null): TrainingsData['trainings'][number] {
  const { name, model, trainer, schedule } = spec
  return { name, model, trainer, schedule, next: nextInstant(spec, now), description, last }
}

/** A run as it was at the page's moment. What it had done by then is not kept. */
async function runThen({ db, now, isPast }: Ask, job: Job): Promise<TrainingRun> {
  const at = new Date(now / 1000)
  const ranThen = isPast && (job.finishedAt === null || job.finishedAt > at)
  const json = await runJson(db, isPast ? jobAt(job, at) : job)
  const rollout = json.version === null ? null : await rolloutOfRun(db, job, json.model, json.version)
  const run = runOf(json, rollout === null ? null : String(rollout))
  if (!ranThen) return run
  return {
    ...run,
    state: 'running',
    says: null,
    dataset: null,
    rows: null,
    version: null,
    metrics: [],
    evaluation: null,
    decisions: [],
    deployed: null,
    rollout: null,
    log: '',
  }
}

function runOf(run: TrainingRunJson, rollout: string | null): TrainingRun {
  const {
    job,
    at,
    from,
    split,
    to,
    dataset,
    rows,
    version,
    metrics,
    evaluation,
    decisions,
    deployed,
    log,
    submittedBy,
    submittedAt,
    finishedAt,
  } = run
  return {
    job: String(job),
    ...stateOf(run),
    at,
    from,
    split,
    to,
    dataset,
    rows,
    version,
    metrics: Object.entries(metrics).map(([name, value]) => ({ name, value })),
    evaluation: evaluation === null ? null : evaluated(evaluation),
    decisions,
    deployed,
    rollout,
    log,
    submittedBy,
    submittedAt,
    finishedAt,
  }
}

function evaluated({
  output,
  rows,
  candidate,
  champion,
  championFigures,
  differences,
  notes,
}: TrainingEvaluation): TrainingRun['evaluation'] {
  const figures = Object.entries(candidate).map(([name, figure]) => ({
    title: figureTitle(name),
    candidate: figure,
    champion: championFigures[name] ?? null,
    difference: judged(name, differences[name]),
  }))
  return { output, rows, champion, figures, notes: [...notes] }
}

function judged(name: string, difference: TrainingEvaluation['differences'][string] | undefined) {
  return difference === undefined ? null : { ...difference, verdict: verdictOf(name, difference) }
}

function stateOf({ state, outcome, trainer, decisions, error, doing }: TrainingRunJson): Pick<TrainingRun, 'state' | 'says'> {
  switch (state) {
    case 'waiting':
      return { state: 'no worker', says: waitText({ trainer, error }) }
    case 'done':
      return outcome === 'refused'
        ? { state: 'refused', says: `Nothing was registered: ${decisions.flatMap(({ holds, text }) => (holds ? [] : [text])).join('; ')}.` }
        : { state: 'registered', says: null }
    case 'failed':
      return { state: 'failed', says: error?.message ?? null }
    case 'running':
      return { state, says: doing === null ? null : doingText(doing) }
    case 'cancelled':
      return { state, says: null }
    default:
      return state satisfies never
  }
}
