import { formatTimestamp } from '../../kernel/values/time.ts'
import type { Doing } from './job-kind.ts'
import type { Job, JobStepStatus } from './read-jobs.ts'

/** A job as `--json` and HTTP show it: without its spec and plan, which may hold queries and paths. */
export function jobJson({
  id,
  kind,
  subject,
  state,
  moment,
  chunks,
  chunksDone,
  totals,
  workers,
  doing,
  secondsLeft,
  error,
  result,
  ...job
}: Job) {
  return {
    id,
    kind,
    subject,
    state,
    moment: moment === null ? null : formatTimestamp(moment),
    chunks,
    chunksDone,
    totals,
    workers,
    doing,
    secondsLeft,
    ...(error === null ? {} : { error: { code: error.code, message: error.message } }),
    result,
    submittedBy: job.submittedBy,
    submittedAt: job.submittedAt.toISOString(),
    finishedAt: job.finishedAt?.toISOString() ?? null,
  }
}

/** The present work of a step: `training set, 1,200 of 50,000`. */
export function doingText({ what, done, total }: Doing): string {
  const number = (of: number): string => of.toLocaleString('en-US')
  return total === 0 ? what : `${what}, ${number(done)} of ${number(total)}`
}

/** A step as `--json` and HTTP show it. */
export function stepJson({ error, claimableAt, ...step }: JobStepStatus) {
  return {
    ...step,
    claimableAt: claimableAt?.toISOString() ?? null,
    error: error === null ? null : { code: error.code, message: error.message },
  }
}
