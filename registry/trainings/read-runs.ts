import { isRecord } from '../../kernel/is-record.ts'
import { parseSchedule } from '../../kernel/schedule.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { JobError } from '../../runtime/jobs/job-kind.ts'
import type { Job } from '../../runtime/jobs/read-jobs.ts'
import { maxListedJobs, readJobs, readSteps } from '../../runtime/jobs/read-jobs.ts'
import { chunkResults } from '../../runtime/jobs/steps.ts'
import type { Catalog } from '../catalog.ts'
import type { TrainingSpec } from './training-spec.ts'
import { trainingKind } from './training-spec.ts'
import type { TrainingPlan, TrainingResult } from './training-run.ts'
import { actorOfRun, trainingRunSpec } from './training-run.ts'

export type TrainingRunJson = Awaited<ReturnType<typeof runJson>>

/** A run as `--json` and HTTP show it. Times are RFC 3339. */
export async function runJson(db: Pick<Database, 'kysely'>, job: Job) {
  const { training } = trainingRunSpec.parse(job.spec)
  const plan = job.plan as TrainingPlan | null // written by the plan step alone
  const made = (job.result ?? (job.state === 'done' ? null : await firstResult(db, job))) as TrainingResult | null
  const isWaiting = job.state === 'running' && job.workers.length === 0
  const error = isWaiting ? await lastFailure(db, job) : job.error
  const shown: { readonly code: string; readonly message: string } | null = error
  const time = (micros: number | undefined): string | null => (micros === undefined ? null : formatTimestamp(micros))
  return {
    job: job.id,
    training: training.name,
    model: training.model,
    trainer: training.trainer,
    state: isWaiting ? ('waiting' as const) : job.state,
    /** What its worker is at; null: it does not run, or has just begun. */
    doing: job.state === 'running' ? job.doing : null,
    /** null: it has not come so far. */
    outcome: made?.outcome ?? null,
    at: time(job.moment ?? undefined),
    from: time(plan?.from),
    split: time(plan?.split),
    to: time(plan?.to),
    dataset: made?.dataset ?? datasetIn(error),
    rows: made?.rows ?? null,
    version: made?.version ?? null,
    /** Whether an earlier run had registered the same file. */
    known: made?.known ?? false,
    metrics: made?.metrics ?? {},
    parameters: { ...training.parameters, ...made?.parameters },
    evaluation: made?.evaluation ?? null,
    decisions: made?.decisions.map(({ holds, text }) => ({ holds, text })) ?? [],
    deployed: made?.deployed ?? null,
    seconds: made?.seconds ?? null,
    /** Of a run that waits: what its last attempt failed with. */
    error: shown === null ? null : { code: shown.code, message: shown.message },
    log: made?.log ?? logIn(error),
    workers: job.workers,
    submittedBy: job.submittedBy,
    submittedAt: job.submittedAt.toISOString(),
    finishedAt: job.finishedAt?.toISOString() ?? null,
  }
}

/** Why the last attempt of a run that waits has failed; null: it has not, or its worker had to end. */
async function lastFailure(db: Pick<Database, 'kysely'>, { id }: Job): Promise<JobError | null> {
  const [next] = await readSteps(db, id, 1)
  return next === undefined || next.state !== 'open' || next.error?.code === 'STOPPED' ? null : next.error
}

/** Of a run that registered a version, and failed afterwards. */
async function firstResult(db: Pick<Database, 'kysely'>, { id }: Job): Promise<unknown> {
  const [first] = await chunkResults(db, id)
  return isRecord(first) ? first : null
}

function datasetIn(error: JobError | null): string | null {
  const dataset = error?.details?.['dataset']
  return typeof dataset === 'string' ? dataset : null
}

function logIn(error: JobError | null): string {
  const log = error?.details?.['log']
  return typeof log === 'string' ? log : ''
}

/** The id of the rollout that a run started for its version; null: it started none. */
export async function rolloutOfRun(
  { kysely }: Pick<Database, 'kysely'>,
  run: Pick<Job, 'id' | 'subject'>,
  model: string,
  version: number,
): Promise<number | null> {
  const rollout = await kysely
    .selectFrom('lockstep.rollouts')
    .select('id')
    .where('model', '=', model)
    .where('version', '=', version)
    .where('started_by', '=', actorOfRun(run))
    .executeTakeFirst()
  return rollout === undefined ? null : Number(rollout.id)
}

/** The runs of a training, newest first. */
export async function readTrainingRuns(db: Pick<Database, 'kysely'>, training: string, limit = 10): Promise<TrainingRunJson[]> {
  const jobs = await readJobs(db, { kind: trainingKind, subject: training, limit })
  return await Promise.all(jobs.toSorted((a, b) => b.id - a.id).map((job) => runJson(db, job)))
}

/** The next instant of the schedule, RFC 3339; null: there is no schedule. @param now epoch microseconds */
export function nextInstant({ schedule }: Pick<TrainingSpec, 'schedule'>, now: number): string | null {
  return schedule === null ? null : formatTimestamp(parseSchedule(schedule).at(now + 1))
}

/** All trainings by name, each with its newest run. @param now epoch microseconds */
export async function listTrainings(db: Pick<Database, 'kysely'>, catalog: Pick<Catalog, 'trainings'>, now: number) {
  const jobs = await readJobs(db, { kind: trainingKind, newest: true, limit: maxListedJobs })
  const newest = new Map(jobs.map((job) => [job.subject, job]))
  const all = [...catalog.trainings.values()].toSorted((a, b) => (a.spec.name < b.spec.name ? -1 : 1))
  return await Promise.all(
    all.map(async ({ spec, description }) => {
      const last = newest.get(spec.name)
      return {
        name: spec.name,
        model: spec.model,
        trainer: spec.trainer,
        schedule: spec.schedule,
        next: nextInstant(spec, now),
        description,
        last: last === undefined ? null : await runJson(db, last),
      }
    }),
  )
}
export type TrainingListJson = Awaited<ReturnType<typeof listTrainings>>[number]
