import { z } from 'zod'
import { requestId } from '../response/response-schemas.ts'

const pipeline = z.object({
  name: z.string().describe('The name of the pipeline'),
  source: z.string().describe('The source whose stream it reads'),
  model: z.string().describe('The model that predicts'),
  version: z.union([z.int(), z.string()]).nullable().describe('A version or an alias; null: each message is routed'),
  reads: z.string().nullable().describe('The stream; null: the source has none any more'),
  group: z.string().nullable().describe('The consumer group'),
  writesTo: z.string().describe('Where answers go'),
  guarantee: z.string().nullable().describe('How often an answer is written'),
  ledger: z.boolean().describe('Whether answers are kept in PostgreSQL'),
  paused: z.boolean().describe('Whether workers leave it alone'),
  replays: z.int().describe('How often it was replayed'),
  replayedAt: z.string().nullable().describe('When it was last replayed'),
  replayedFrom: z.string().nullable().describe('The time or position that the last replay began with'),
  deadLetters: z.int().describe('How many of its messages are dead letters'),
})

/** The answer of a pause or a resumption. */
export const pipelineChangeAnswer = z.object({
  pipeline: z.string().describe('The name of the pipeline'),
  paused: z.boolean().describe('Whether it is paused'),
  changed: z.boolean().describe('False: it was so before'),
  requestId,
})

const activity = z.object({
  workers: z.int().describe('How many processes run it'),
  lag: z
    .object({
      waiting: z.number().describe('How many messages wait'),
      pending: z.number().describe('How many are given to a process'),
    })
    .nullable()
    .describe('null: no process has counted them in the last 30 s'),
  failing: z.string().nullable().describe('Why a process waits and tries again; null: none does'),
})

export const pipelineAnswer = z.object({
  pipeline: pipeline.describe('The pipeline as it is declared'),
  activity: activity.describe('How it runs, as its processes have written it in the last 30 s'),
  requestId,
})

export const pipelinesAnswer = z.object({ pipelines: z.array(pipeline).describe('By name'), requestId })

export const pipelineReplayAnswer = z.object({
  pipeline: z.string().describe('The name of the pipeline'),
  from: z.string().describe('Where the replay begins, as it was asked for'),
  replays: z.int().describe('How many replays the pipeline has had, with this one'),
  requestId,
})
