import { z } from 'zod'
import { link, moment } from './answer.ts'

const step = z.object({
  step: z.enum(['plan', 'chunk', 'finish', 'clean']),
  number: z.number(),
  state: z.enum(['open', 'done', 'closed']).describe('closed: the job ended before it was done'),
  attempts: z.number(),
  worker: z.string().nullable().describe('Who has it, or had it last'),
  atWork: z.boolean().describe('Whether somebody works on it now'),
  progress: z.number().nullable().describe('From 0 to 1'),
  error: z.object({ code: z.string(), message: z.string() }).nullable().describe('Of its last attempt'),
  claimableAt: moment.nullable().describe('From when on a worker may take it'),
})

/** `GET /ui/api/jobs` */
export const jobs = z.object({
  jobs: z.array(
    z.object({
      id: z.string(),
      kind: z.string(),
      subject: z.string().describe('What it is about'),
      link: link.nullable().describe('The page of what it is about; null: it has none, or is not defined now'),
      made: z.object({ model: z.string(), version: z.number() }).nullable().describe('The model version that a training registered'),
      state: z.string().describe('waiting (no worker works on it), running, done, failed or cancelled'),
      chunks: z.number().nullable(),
      chunksDone: z.number(),
      workers: z.array(z.string()).describe('Who works on it now, once for each step'),
      totals: z.array(z.object({ name: z.string(), total: z.number() })).describe('Sums over the chunks that are done'),
      secondsLeft: z.number().nullable(),
      doing: z.string().nullable().describe('What a worker is at within its step, for people'),
      error: z.string().nullable(),
      moment: moment.nullable().describe('The instant of its schedule'),
      submittedBy: z.string(),
      submittedAt: moment,
      finishedAt: moment.nullable(),
      canCancel: z.boolean(),
      canRetry: z.boolean(),
      revision: z.string().describe('What a change of it sends as `If-Match`'),
    }),
  ),
  kinds: z.array(z.string()).describe('`?kind=`: all kinds of this version'),
  states: z.array(z.string()).describe('`?state=`: running has those that wait for a worker, too'),
  steps: z.array(step).nullable().describe('Of one job that was asked for by its id, those at work first; null: as of a past moment'),
  cursor: z.string().nullable().describe('`?cursor=` of the next page'),
})
export type JobsData = z.output<typeof jobs>
