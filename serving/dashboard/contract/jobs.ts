import { z } from 'zod'
import { moment } from './answer.ts'

/** `GET /ui/api/jobs` */
export const jobs = z.object({
  jobs: z.array(
    z.object({
      id: z.string(),
      kind: z.string(),
      subject: z.string().describe('What it is about'),
      state: z.string().describe('waiting, running, done, failed or canceled'),
      chunks: z.number().nullable(),
      chunksDone: z.number(),
      workers: z.number(),
      secondsLeft: z.number().nullable(),
      doing: z.string().nullable().describe('What a worker is at within its step, for people'),
      error: z.string().nullable(),
      submittedBy: z.string(),
      submittedAt: moment,
      finishedAt: moment.nullable(),
      canCancel: z.boolean(),
      canRetry: z.boolean(),
      revision: z.string().describe('What a change of it sends as `If-Match`'),
    }),
  ),
  cursor: z.string().nullable().describe('`?cursor=` of the next page'),
})
export type JobsData = z.output<typeof jobs>
