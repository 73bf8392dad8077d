import { z } from 'zod'
import { chart, moment } from './answer.ts'

const line = z.object({
  name: z.string(),
  state: z
    .enum(['running', 'waits', 'paused', 'no worker', 'broken', 'not recorded'])
    .describe('waits: its last try failed, and it tries again; not recorded: of a moment whose records are deleted'),
  says: z.string().describe('The state in a sentence'),
  source: z.string(),
  model: z.string(),
  version: z.string().nullable().describe('A version or an alias; null: each message is routed'),
  reads: z.string().nullable().describe('null: its source has no stream any more'),
  writesTo: z.string(),
  workers: z.number().describe('How many processes run it'),
  waiting: z.number().nullable().describe('Messages that no worker was given; null: no worker has said so recently'),
  pending: z.number().nullable().describe('Messages that were given to a worker and are not acknowledged'),
  perSecond: z.number().describe('Messages answered per second, over the last five minutes'),
  oldestSeconds: z.number().describe('The age of the oldest message that a worker works on'),
  deadLetters: z.number(),
  lastError: z.object({ text: z.string(), at: moment }).nullable(),
})
export type PipelineLine = z.output<typeof line>

/** Dead letters of a source or a pipeline by reason, the most first. They are those of now. */
export const deadReasons = z.array(z.object({ reason: z.string(), count: z.number(), lastAt: moment }))

/** `GET /ui/api/pipelines` */
export const pipelines = z.object({ pipelines: z.array(line) })
export type PipelinesData = z.output<typeof pipelines>

/** `GET /ui/api/pipelines/:id` */
export const pipeline = z.object({
  pipeline: line,
  group: z.string().nullable().describe('The consumer group'),
  guarantee: z.string().nullable().describe('How often an answer is written, in a sentence'),
  ledger: z.boolean().describe('Whether answers are kept in PostgreSQL'),
  replays: z.number(),
  replayedAt: moment.nullable(),
  replayedFrom: z.string().nullable(),
  throughput: chart,
  lag: chart,
  age: chart,
  dead: deadReasons,
  sourceDead: z.number().describe('Dead letters of its source: messages that are no event, which no pipeline can answer'),
  /** What a change sends as `If-Match`. */
  revision: z.string(),
})
export type PipelineData = z.output<typeof pipeline>

/** `GET /ui/api/pipelines/:id/dead-letters`, and of sources: errors may quote values of a message. */
export const deadLetters = z.object({
  letters: z.array(
    z.object({
      id: z.string(),
      message: z.string().describe('As the stream calls it'),
      reason: z.string(),
      error: z.string(),
      bytes: z.number().nullable(),
      at: moment,
    }),
  ),
  total: z.number(),
})
export type DeadLettersData = z.output<typeof deadLetters>
