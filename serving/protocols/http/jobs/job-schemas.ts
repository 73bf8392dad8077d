import { z } from 'zod'
import { jobKinds } from '../../../../runtime/jobs/job-kinds.ts'
import { requestId } from '../response/response-schemas.ts'

export const jobState = z.enum(['running', 'done', 'failed', 'cancelled'])

export const backfillAnswer = z.looseObject({
  id: z.int().describe('The id of its job'),
  view: z.string().describe('The feature view'),
  state: jobState.describe('Its progress'),
  joined: z.boolean().describe('Whether it ran already'),
  requestId,
})

const jobError = z.object({ code: z.string().describe('The error code'), message: z.string().describe('The message') })
/** The stage of a worker within its step. */
export const doing = z
  .object({
    what: z.string().describe('Which part of the work'),
    done: z.int().describe('How much of it is done'),
    total: z.int().describe('How much there is; 0: there is nothing to count'),
  })
  .nullable()
const jobFields = {
  id: z.int().describe('Its id'),
  kind: z.string().describe(`The kind of job: ${jobKinds.join(', ')}`),
  subject: z.string().describe('The subject, such as a view or a service'),
  state: jobState.describe('Its progress'),
  moment: z.string().nullable().describe('The instant of its schedule; null: it has no schedule'),
  chunks: z.int().describe('The number of chunks'),
  chunksDone: z.int().describe('The number of finished chunks'),
  totals: z.record(z.string(), z.number()).describe('Sums over the chunks that are done, such as rows'),
  workers: z.array(z.string()).describe('Who works on it now, as host:pid, once for each step'),
  doing: doing.describe('What a worker is at within its step; null: its kind does not say, or nobody works on it'),
  secondsLeft: z.number().nullable().describe('How long it takes at the pace so far; null: unknown'),
  error: jobError.optional().describe('Why it failed'),
  result: z.unknown().describe('Its result; null: it has none, or is not done'),
  submittedBy: z.string().describe('Who submitted it, as host:pid'),
  submittedAt: z.string().describe('When it was submitted'),
  finishedAt: z.string().nullable().describe('When it ended; null: it runs'),
}
const stepFields = {
  step: z.enum(['plan', 'chunk', 'finish', 'clean']).describe('Which part of the work it is'),
  number: z.int().describe('Its number, from 0'),
  state: z.enum(['open', 'done', 'closed']).describe('closed: the job ended before it was done'),
  attempts: z.int().describe('How often it was claimed'),
  worker: z.string().nullable().describe('Who has it, or had it last'),
  atWork: z.boolean().describe('Whether somebody works on it now'),
  progress: z.number().nullable().describe('From 0 to 1; null: unknown'),
  error: jobError.nullable().describe('The error of its last attempt'),
  claimableAt: z.string().nullable().describe('From when on a worker may take it'),
}

export const jobsAnswer = z.object({ jobs: z.array(z.object(jobFields)), requestId })
export const jobAnswer = z.object({
  ...jobFields,
  steps: z.array(z.object(stepFields)).describe('Its steps, running ones first, at most 100'),
  requestId,
})
export type JobAnswer = z.output<typeof jobAnswer>
