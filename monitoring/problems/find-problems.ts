import { LockstepError } from '../../kernel/errors.ts'
import { asRecord } from '../../kernel/is-record.ts'
import { dayMicros, formatTimestamp } from '../../kernel/values/time.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { failingText } from '../../materializer/runs/failing-views.ts'
import { createCheckpointOwner } from '../../online/checkpoint-owner.ts'
import type { IncompleteView } from '../../online/completeness.ts'
import { findIncompleteViews } from '../../online/completeness.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { scheduledBatchKind } from '../../registry/scheduled-batch-spec.ts'
import { readPunctuality } from '../../registry/trainings/late-trainings.ts'
import { listTrainings } from '../../registry/trainings/read-runs.ts'
import { trainingKind } from '../../registry/trainings/training-spec.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Job } from '../../runtime/jobs/read-jobs.ts'
import { maxListedJobs, readJobs } from '../../runtime/jobs/read-jobs.ts'
import { noWorker } from '../../runtime/postgres/worker-sessions.ts'
import type { Alert } from '../alerts/read-alerts.ts'
import type { Schedule } from '../alerts/checks/failed-schedules.ts'
import { newestOutcomes } from '../alerts/checks/failed-schedules.ts'
import { maxListedAlerts, readAlerts } from '../alerts/read-alerts.ts'
import { readViews } from '../freshness/freshness-reader.ts'
import type { ViewFreshness } from '../freshness/view-freshness.ts'
import { alertProblem, failedJobsProblem } from './alert-problem.ts'
import type { FoundProblem, GroupedProblem, Problem } from './problem.ts'
import { groupProblems } from './problem.ts'
import type { WatchedTraining } from './training-problem.ts'
import { trainingProblem } from './training-problem.ts'

/** So many failures, the newest, are problems; all are counted. */
const maxFailures = 20

/** Codes by which a store says that it does not answer. */
const storeFailures: ReadonlySet<string> = new Set(['REDIS_UNAVAILABLE', 'EMBEDDED_DAMAGED', 'NOT_READY'])

export const noDetails = { since: null, cause: null, todo: null, about: null, command: null } as const

/** The facts of a moment in which problems are found. */
export interface ProblemSources {
  readonly alerts: readonly Alert[]
  /** Jobs that failed in the last day and whose schedule has not succeeded since, the newest first. */
  readonly failed: readonly Job[]
  /** Each training that has run. */
  readonly trainings: readonly WatchedTraining[]
  readonly views: readonly ViewFreshness[]
  /** Views that the online store does not hold completely. */
  readonly lacks: readonly IncompleteView[]
  /** Why the store does not answer; null: it does. */
  readonly storeFailure: string | null
  /** Whether a worker is missed. */
  readonly lacksWorker: boolean
}

interface ReadOptions {
  readonly db: Database
  /** A text says why it does not answer. */
  readonly store: OnlineStore | string
  readonly catalog: Catalog
  /** Epoch microseconds. */
  readonly now: number
  readonly lacksWorker: boolean
}

/** The stores in which the present problems are found. */
export async function readProblemSources({ db, store, catalog, now, lacksWorker }: ReadOptions): Promise<ProblemSources> {
  const plans = [...catalog.views.values()].filter(({ id }) => catalog.online.has(id))
  return {
    ...(await readStore(db, store, plans, now)),
    alerts: await readAlerts(db, { state: 'firing', limit: maxListedAlerts }),
    failed: await readFailedJobs(db, now),
    trainings: await watchedTrainings(db, catalog, now),
    lacksWorker: lacksWorker && plans.length > 0,
  }
}

/** The answer of a store, or why there is none: if a store is down, the other facts are still shown. */
export async function askStore<Answer>(
  ask: () => Answer | Promise<Answer>,
): Promise<{ readonly answer: Answer; readonly failure: null } | { readonly answer: null; readonly failure: string }> {
  try {
    return { answer: await ask(), failure: null }
  } catch (error) {
    if (!(error instanceof LockstepError) || !storeFailures.has(error.code)) throw error
    // a server that is not ready gives the reason as the cause
    const reason = error.code === 'NOT_READY' && error.cause instanceof Error ? error.cause.message : ''
    return { answer: null, failure: reason || error.message }
  }
}

/** Stored statistics, or the problem if one is damaged: the other facts are still shown. */
export async function askRollups<Answer>(
  read: () => Promise<Answer>,
): Promise<
  { readonly answer: Answer; readonly problems: readonly [] } | { readonly answer: null; readonly problems: readonly FoundProblem[] }
> {
  try {
    return { answer: await read(), problems: [] }
  } catch (error) {
    if (!(error instanceof LockstepError) || error.code !== 'ROLLUP_DAMAGED') throw error
    const link = { kind: 'now', id: '' } as const
    return {
      answer: null,
      problems: [{ ...noDetails, id: 'rollups', severity: 'warn', what: error.message, link, causes: [], follows: [] }],
    }
  }
}

export async function watchedTrainings(db: Database, catalog: Catalog, now: number): Promise<WatchedTraining[]> {
  if (catalog.trainings.size === 0) return []
  const [listed, kept] = [await listTrainings(db, catalog, now), await readPunctuality(db, catalog, now)]
  return listed.flatMap(({ name, last }) =>
    last === null ? [] : [{ run: last, punctuality: kept.find(({ training }) => training === name) ?? null }],
  )
}

/**
 * The jobs that failed in the day before a moment, the newest first, without those whose schedule has succeeded since.
 *
 * @param now epoch microseconds
 */
export async function readFailedJobs(db: Database, now: number): Promise<Job[]> {
  const failed = await readJobs(db, { state: 'failed', finished: { from: now - dayMicros, to: now }, limit: maxListedJobs })
  const schedules = new Map(failed.map(scheduleOf).flatMap((each) => (each === null ? [] : [[JSON.stringify(each), each] as const])))
  const succeeded = new Set<string>()
  for (const some of Map.groupBy(schedules.values(), ({ kind, scope }) => JSON.stringify([kind, scope])).values()) {
    const [{ kind, scope } = { kind: '', scope: '' }] = some
    const outcomes = await newestOutcomes(db, { kind, scope, keys: some.map(({ key }) => key), until: now })
    for (const { key, state } of outcomes) if (state === 'done') succeeded.add(JSON.stringify({ kind, scope, key }))
  }
  return failed.filter((job) => !succeeded.has(JSON.stringify(scheduleOf(job))))
}

async function readStore(
  db: Database,
  store: OnlineStore | string,
  plans: readonly ViewPlan[],
  now: number,
): Promise<Pick<ProblemSources, 'views' | 'lacks' | 'storeFailure'>> {
  if (typeof store === 'string') return { views: await readViews(db, null, plans, now), lacks: [], storeFailure: store }
  const { answer, failure } = await askStore(async () => ({
    views: await readViews(db, store, plans, now),
    lacks: await findIncompleteViews({ ...store, owner: createCheckpointOwner(() => db) }, plans),
  }))
  return failure === null ? { ...answer, storeFailure: null } : await readStore(db, failure, plans, now)
}

/** One problem for each cause, as the dashboard has them. @param now epoch microseconds */
export function problemsOf(catalog: Catalog, sources: ProblemSources, now: number): GroupedProblem[] {
  return groupProblems(findProblems(catalog, sources, now))
}

/** All problems, with their possible causes. `groupProblems` makes one problem of each cause. */
export function findProblems(catalog: Catalog, sources: ProblemSources, now: number): FoundProblem[] {
  const { alerts, failed, trainings, views, lacks, storeFailure, lacksWorker } = sources
  const problems: FoundProblem[] = []
  const add = (id: string, follows: readonly string[], problem: Problem): void =>
    void problems.push({ ...problem, id, causes: [], follows })
  const link = { kind: 'now', id: '' } as const
  if (storeFailure !== null) add('store', [], { ...noDetails, severity: 'page', what: storeFailure, link, command: 'lockstep doctor' })
  if (lacksWorker) add('worker', [], { ...noDetails, severity: 'warn', what: noWorker, link, command: 'lockstep worker' })
  for (const view of views) {
    const lack = lacks.find((each) => each.view === view.view)?.problem ?? null
    const error = failed.find(({ subject }) => subject === view.view)?.error?.message ?? null
    const current = viewProblem(view, lack, error, now)
    // the first run of a view is made by hand as well
    if (current !== null) add(`view ${view.view}`, lack === null ? ['store', 'worker'] : ['store'], current)
    const aside = setAsideProblem(view)
    if (aside !== null) add(`set aside in ${view.view}`, [], aside)
  }
  // of one fault, the first alert or failed job is the cause of the others, by time and not by the size of the change
  const began = new Map(problems.map(({ id, since }) => [id, since]))
  for (const alert of alerts.toSorted((a, b) => a.id - b.id)) {
    const found = alertProblem(catalog, alert)
    // values that were stale before a view was late do not follow from it; the alert of a late view may be older than
    // its last run
    const isAfter = (name: string): boolean => alert.check === 'freshness' || (began.get(name) ?? '') <= (found.since ?? '')
    problems.push({ ...found, follows: found.follows.filter(isAfter) })
  }
  problems.push(...trainings.flatMap((each) => trainingProblem(each, now / 1000) ?? []))
  const trained = new Set(trainings.map(({ run }) => run.training))
  const others = failed.filter(({ kind, subject }) => kind !== trainingKind || !trained.has(subject))
  for (const { schedule, jobs } of failuresIn(others).toReversed()) {
    const [{ kind, subject }] = jobs
    add(schedule === null ? `job ${kind} of ${subject}` : failedJobsProblem(schedule), [`view ${subject}`], jobProblem(jobs))
  }
  return problems
}

interface Failure {
  /** Its kind and key, as the check `jobs` names it; null: no schedule began the job. */
  readonly schedule: string | null
  /** The newest first. */
  readonly jobs: readonly [Job, ...Job[]]
}

/** The newest failures: failed jobs of one schedule are one. @param failed the newest first */
export function failuresIn(failed: readonly Job[]): Failure[] {
  const groups = new Map<string, { schedule: string | null; jobs: [Job, ...Job[]] }>()
  for (const job of failed) {
    const found = scheduleOf(job)
    const schedule = found === null ? null : `${found.kind} ${found.key}`
    const name = schedule ?? String(job.id)
    const group = groups.get(name)
    if (group === undefined) groups.set(name, { schedule, jobs: [job] })
    else group.jobs.push(job)
  }
  return [...groups.values()].slice(0, maxFailures)
}

interface ScopedSchedule extends Schedule {
  /** null: any, because a training may get another trainer. */
  readonly scope: string | null
}

function scheduleOf({ kind, scope, key, moment, spec }: Job): ScopedSchedule | null {
  const { schedule } = asRecord(spec)
  if (kind === 'batch' && typeof schedule === 'string') return { kind: scheduledBatchKind, scope: '', key: schedule }
  return moment === null || key === null ? null : { kind, scope: kind === trainingKind ? null : scope, key }
}

function viewProblem(
  { view, late, lag, failing, overdueSince }: ViewFreshness,
  lack: string | null,
  error: string | null,
  now: number,
): Problem | null {
  const runs = failing === null ? null : failingText(view, failing)
  const what = lack ?? late ?? runs
  if (what === null) return null
  const causes = [what === runs ? null : runs, error === null ? null : `The newest job that failed: ${error}`]
  const seconds = lag === null || lag.seconds === 0 ? (failing?.seconds ?? null) : lag.seconds
  const since = overdueSince ?? (seconds === null ? null : Math.round(now - seconds * 1e6))
  return {
    ...noDetails,
    severity: lack === null ? 'warn' : 'page',
    what,
    since: since === null ? null : formatTimestamp(since),
    cause: causes.filter((text) => text !== null).join(' ') || null,
    link: { kind: 'view', id: view },
    command: `lockstep materialize ${view}`,
  }
}

function setAsideProblem({ view, setAside: { entities, messages } }: ViewFreshness): Problem | null {
  if (entities === 0) return null
  return {
    ...noDetails,
    severity: 'warn',
    what: `${entities} ${entities === 1 ? 'entity' : 'entities'} of the view "${view}" have no state online: their rows cannot be folded.`,
    cause: messages[0] ?? null,
    link: { kind: 'view', id: view },
    command: 'lockstep status',
  }
}

function jobProblem(jobs: Failure['jobs']): Problem {
  const [{ id, kind, subject, error }] = jobs
  const first = jobs.at(-1)?.finishedAt ?? null
  const since = first === null ? null : formatTimestamp(first.getTime() * 1000)
  const more = jobs.length === 1 ? '' : `, and ${jobs.length - 1} more of its schedule since ${since}`
  return {
    ...noDetails,
    severity: 'warn',
    what: `The job ${id} (${kind} of ${subject}) failed${more}.`,
    since,
    cause: error?.message ?? null,
    todo: 'Remove the cause, and retry the job.',
    link: { kind: 'job', id: String(id) },
    command: `lockstep job retry ${id}`,
  }
}
