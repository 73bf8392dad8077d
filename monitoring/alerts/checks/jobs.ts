import { sql } from 'kysely'
import { measuredText, parseDuration } from '../../../kernel/values/duration.ts'
import { asRecord } from '../../../kernel/is-record.ts'
import type { CheckOf } from '../../../registry/define/check-options.ts'
import { trainingKind } from '../../../registry/trainings/training-spec.ts'
import type { CheckKind } from '../check-kind.ts'
import { failedSchedules } from './failed-schedules.ts'

type Spec = CheckOf<'jobs'>

interface OpenStep {
  readonly job: string
  readonly kind: string
  readonly subject: string
  readonly step: string
  readonly number: number
  readonly held: boolean
  readonly worker: string | null
  /** Changes whenever the step gets anywhere. */
  readonly mark: string
  readonly waited: number | null
}

const subject = 'jobs'
const maxSteps = 1000
const maxShown = 20

/**
 * Finds steps that wait without a worker, steps whose worker renews its lease while they make no progress, and
 * schedules whose newest job failed. Of steps it remembers when each was seen first as far as it is now.
 */
export const jobs: CheckKind<Spec> = async ({ db, store, catalog, memoryOf, window }, { maxWait, maxStall }) => {
  const { rows } = await sql<OpenStep>`
    select c.job::text as job, j.kind, j.subject, c.step, c.number, c.worker, c.claim is not null and c.claimable_at > clock_timestamp() as held,
      concat_ws(' ', c.attempts, c.progress, c.claim, j.chunks) as mark,
      case when c.claim is null or c.claimable_at <= clock_timestamp()
        then extract(epoch from clock_timestamp() - greatest(c.claimable_at, j.submitted_at))::float8 end as waited
    from lockstep.job_chunks c join lockstep.jobs j on j.id = c.job
    where c.state = 'open' and (j.state = 'running' or (j.cleans and j.state <> 'done'))
    order by c.claimable_at limit ${maxSteps}`.execute(db.kysely)
  const before = asRecord(asRecord(memoryOf(subject))['seen'])
  const seen: Record<string, { readonly mark: string; readonly since: number }> = {}
  const stuck: { readonly text: string; readonly seconds: number; readonly step: OpenStep }[] = []
  for (const step of rows) {
    const name = `${step.job} ${step.step} ${step.number}`
    if (!step.held) {
      // what others of its job keep a worker from is not waiting for one
      const isNext = step.waited !== null && !rows.some((other) => other.job === step.job && other.held)
      if (isNext && step.waited !== null && step.waited > parseDuration(maxWait) / 1e6)
        stuck.push({ text: `waits for a worker for ${measuredText(step.waited)}`, seconds: step.waited, step })
      continue
    }
    const known = asRecord(before[name])
    const since = known['mark'] === step.mark && typeof known['since'] === 'number' ? known['since'] : window.to
    seen[name] = { mark: step.mark, since }
    const stalled = (window.to - since) / 1e6
    // a trainer says nothing of its progress, and has a time limit of its own
    if (step.kind !== trainingKind && stalled > parseDuration(maxStall) / 1e6)
      stuck.push({ text: `has made no progress for ${measuredText(stalled)} on the worker "${step.worker}"`, seconds: stalled, step })
  }
  const [first] = stuck.toSorted((a, b) => b.seconds - a.seconds)
  const list = stuck
    .slice(0, maxShown)
    .map(({ text, step: { job, kind, subject: about, worker } }) => ({ job: Number(job), kind, subject: about, worker, text }))
  const schedules = await failedSchedules(db, store, catalog, window.to)
  const base = { subject, value: stuck.length, threshold: 0, n: rows.length, evidence: { stuck: list }, memory: { seen } }
  if (first === undefined) return [{ ...base, state: 'ok', cause: null }, ...schedules]
  const { job, kind, subject: about } = first.step
  const lacks = kind === trainingKind ? 'has its trainer: "lockstep training show" names it' : 'runs'
  const fix = first.step.held ? `Check that worker; "lockstep job cancel ${job}" ends the job` : `Check that a "lockstep worker" ${lacks}`
  const more = stuck.length === 1 ? '' : ` ${stuck.length - 1} more steps are stuck.`
  return [{ ...base, state: 'breach', cause: `The ${kind} ${job} of "${about}" ${first.text}. ${fix}.${more}` }, ...schedules]
}
