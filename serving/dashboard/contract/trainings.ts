import { z } from 'zod'
import { moment } from './answer.ts'

const runState = z
  .enum(['registered', 'refused', 'running', 'no worker', 'failed', 'cancelled'])
  .describe('refused: the version does not meet a requirement; no worker: no worker has the run now')

const figures = z.array(z.object({ name: z.string(), value: z.number() }))

const measured = z.object({ value: z.number(), low: z.number().nullable(), high: z.number().nullable() })
const compared = z.object({
  output: z.string().nullable().describe('The output that was compared with the label'),
  rows: z.number(),
  champion: z.number().nullable().describe('Its version'),
  figures: z.array(
    z.object({
      title: z.string(),
      candidate: measured,
      champion: measured.nullable(),
      difference: measured
        .extend({ verdict: z.enum(['better', 'worse', 'unclear']).describe('unclear: the interval contains 0') })
        .nullable(),
    }),
  ),
  notes: z.array(z.string()),
})

const run = z.object({
  job: z.string(),
  state: runState,
  says: z.string().nullable().describe('Why it was refused, failed or waits, or what it is at, in a sentence'),
  at: moment.nullable().describe('The instant of the run'),
  from: moment.nullable(),
  split: moment.nullable().describe('Rows before it are trained on, later ones are the test'),
  to: moment.nullable(),
  dataset: z.string().nullable(),
  rows: z.object({ train: z.number(), test: z.number() }).nullable(),
  version: z.number().nullable(),
  metrics: figures,
  evaluation: compared.nullable().describe('On the test rows, as Lockstep measured it'),
  decisions: z.array(z.object({ holds: z.boolean(), text: z.string() })).describe('By requirement'),
  deployed: z.string().nullable().describe('What became of the version'),
  rollout: z.string().nullable().describe('The id of the rollout that it started'),
  log: z.string().describe('The end of what the trainer wrote'),
  submittedBy: z.string(),
  submittedAt: moment,
  finishedAt: moment.nullable(),
})
export type TrainingRun = z.output<typeof run>

export const trainingLine = z.object({
  name: z.string(),
  model: z.string(),
  trainer: z.string().describe('A program in the folder of trainers of a worker'),
  schedule: z.string().nullable().describe('null: it runs when asked to'),
  next: moment.nullable(),
  description: z.string().nullable(),
  last: run.nullable(),
})

/** `GET /ui/api/trainings` */
export const trainings = z.object({ trainings: z.array(trainingLine) })
export type TrainingsData = z.output<typeof trainings>

/** `GET /ui/api/trainings/:id` */
export const training = z.object({
  training: trainingLine,
  label: z.string(),
  requires: z.array(z.string()).describe('What a version must reach'),
  deploys: z.string().describe('What becomes of a version'),
  window: z.string(),
  test: z.string(),
  mature: z.string().nullable().describe('How long before its instant the rows of a run end; null: at it'),
  parameters: z.string().nullable().describe('JSON'),
  runs: z.array(run),
})
export type TrainingData = z.output<typeof training>
