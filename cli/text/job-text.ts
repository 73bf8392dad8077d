import { LockstepError } from '../../kernel/errors.ts'
import type { jobJson, stepJson } from '../../runtime/jobs/job-json.ts'
import { doingText } from '../../runtime/jobs/job-json.ts'
import { ago, count, duration, moment } from './human.ts'
import type { Input } from '../input.ts'
import { table, tableOf } from './table.ts'

/** As `--json` and HTTP show it. */
type ShownJob = Omit<ReturnType<typeof jobJson>, 'error'> & { readonly error?: ShownError | undefined }
type ShownStep = Omit<ReturnType<typeof stepJson>, 'error'> & { readonly error: ShownError | null }
type ShownError = { readonly code: string; readonly message: string }

/** @throws LockstepError `USAGE` where it is not a number */
export function jobIdOf(input: Input): number {
  const text = input.argument('ID')
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text)
  throw new LockstepError('USAGE', `The id "${text}" is not a number; "lockstep job list" shows the ids of jobs.`)
}

export function jobTable(jobs: readonly ShownJob[]): string {
  return tableOf<ShownJob>(
    [
      ['ID', ({ id }) => String(id)],
      ['KIND', ({ kind }) => kind],
      ['ABOUT', ({ subject }) => subject],
      ['STATE', stateOf],
      ['CHUNKS', ({ chunks, chunksDone }) => `${count(chunksDone)} of ${count(chunks)}`],
      ['AT WORK ON', ({ doing }) => (doing === null ? '' : doingText(doing))],
      ['WORKERS', ({ workers }) => String(workers.length)],
      ['SUBMITTED', ({ submittedAt }) => ago(Date.now() - Date.parse(submittedAt))],
    ],
    jobs,
  )
}

export function jobText(job: ShownJob, steps: readonly ShownStep[]): string {
  const left = job.secondsLeft === null ? '' : `, about ${duration(job.secondsLeft * 1000)} left`
  const totals = Object.entries(job.totals).map(([name, total]) => `${count(total)} ${name}`)
  return [
    `${job.kind} ${job.id} of ${job.subject}: ${stateOf(job)}, ${count(job.chunksDone)} of ${count(job.chunks)} chunks done${left}.`,
    `Submitted by ${job.submittedBy} at ${moment(new Date(job.submittedAt))} UTC.`,
    ...(job.doing === null ? [] : [`At work on: ${doingText(job.doing)}.`]),
    ...(job.moment === null ? [] : [`Its schedule asked for it at ${job.moment}.`]),
    ...(job.finishedAt === null ? [] : [`Ended at ${moment(new Date(job.finishedAt))} UTC.`]),
    ...(totals.length === 0 ? [] : [`So far: ${totals.join(', ')}.`]),
    ...(job.error === undefined ? [] : [`Failed: ${job.error.code}: ${job.error.message}`]),
    '',
    table(['STEP', 'STATE', 'ATTEMPTS', 'WORKER', 'LAST ERROR'], steps.map(stepRow)),
  ].join('\n')
}

function stepRow({ step, number, state, atWork, progress, attempts, worker, error }: ShownStep): string[] {
  const share = progress === null ? '' : ` ${Math.floor(progress * 100)} %`
  return [
    step === 'chunk' ? `chunk ${number}` : step,
    atWork ? `at work${share}` : state === 'open' ? 'waits' : state,
    String(attempts),
    worker ?? '',
    error?.message ?? '',
  ]
}

/** A running job waits where no worker works on it. */
function stateOf({ state, workers }: ShownJob): string {
  return state === 'running' && workers.length === 0 ? 'waiting' : state
}
