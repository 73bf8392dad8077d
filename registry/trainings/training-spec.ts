import { z } from 'zod'
import type { JobKindName } from '../../runtime/jobs/job-kinds.ts'
import { trainerName } from '../define/training.ts'

/** The job kind of the runs of trainings. */
export const trainingKind = 'training' satisfies JobKindName

const text = z.string().min(1).max(10_000)
const name = z.string().regex(/^[a-z][a-z0-9_]{0,62}$/)
const micros = z.number().nonnegative()

/** What a version must reach before it is registered. */
const requirement = z.union([
  z.strictObject({ metric: text, atLeast: z.number() }),
  z.strictObject({ metric: text, atMost: z.number() }),
  z.strictObject({ metric: text, against: z.literal('champion'), worseByAtMost: z.number().nonnegative() }),
])
export type Requirement = z.output<typeof requirement>

/** A training pipeline: a training set, a program that trains on it, a decision, and a registered version. */
export const trainingSpec = z.strictObject({
  name,
  /** Its service gives the features. */
  model: name,
  /** `{from}` and `{to}` stand for the interval of the rows. */
  spine: z.strictObject({ sql: text }),
  /** A column of the spine. */
  label: text,
  /** The output of the model that is compared with the label; null: it has one. */
  output: text.nullable(),
  /** The time column of the spine; null: it has one. */
  time: text.nullable(),
  asOf: z.enum(['at', 'before']),
  /** The rows are those of [instant - mature - window, instant - mature). */
  windowMicros: micros.positive(),
  matureMicros: micros,
  /** How much of the end of the interval is for the test. */
  testMicros: micros.positive(),
  format: z.enum(['parquet', 'csv', 'jsonl']),
  /** A file in the folder of trainers of a worker. */
  trainer: z.string().regex(trainerName),
  timeoutMicros: micros.positive(),
  /** What the trainer gets; JSON. */
  parameters: z.record(z.string(), z.json()),
  require: z.array(requirement),
  /** What becomes of a version that was registered. A rollout has the name of a plan, or a plan as it was stated. */
  deploy: z.union([z.enum(['nothing', 'promote']), z.strictObject({ rollout: z.union([text, z.record(z.string(), z.unknown())]) })]),
  /** Five fields of cron, in UTC; null: it runs when asked to. */
  schedule: text.nullable(),
})
export type TrainingSpec = z.output<typeof trainingSpec>
