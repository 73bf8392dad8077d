import { z } from 'zod'
import type { SubmittedKind } from '../../runtime/jobs/submit-job.ts'
import type { Requirement } from './training-spec.ts'
import { trainingKind, trainingSpec } from './training-spec.ts'

/** A run keeps the definition that it was begun with. Its instant is the moment of its job. */
export const trainingRunSpec = z.object({ training: trainingSpec })
export type TrainingRunSpec = z.output<typeof trainingRunSpec>

/** What others need to begin a run. The code of its steps is in the room `training/`. */
export const trainingRuns = {
  name: trainingKind,
  spec: trainingRunSpec,
  keepDays: 365,
  plan: true,
  finish: true,
} as const satisfies SubmittedKind<TrainingRunSpec>

/** What the attempts of a run share. Times are epoch microseconds. */
export interface TrainingPlan {
  /** The id of its training set. */
  readonly dataset: string
  /** RFC 3339. */
  readonly createdAt: string
  /** The rows of [from, split) are trained on, those of [split, to) are the test. */
  readonly from: number
  readonly split: number
  readonly to: number
  /** Rows of all transactions below it are read, and no others. */
  readonly arrivedBefore: number
}

/** A requirement, and whether a version meets it. */
export interface Decision {
  readonly requirement: Requirement
  readonly holds: boolean
  /** In words: `auc is 0.83, which is at least 0.8`. */
  readonly text: string
}

/** What a trainer reported, in the last line of its output. */
export interface TrainerReport {
  readonly metrics: Readonly<Record<string, number>>
  readonly parameters: Readonly<Record<string, unknown>>
}

/** What a run did. The history keeps it. */
export interface TrainingResult {
  /** `refused`: the version does not meet a requirement, so it is not registered. */
  readonly outcome: 'registered' | 'refused'
  readonly dataset: string
  readonly rows: { readonly train: number; readonly test: number }
  /** null: it was refused. */
  readonly version: number | null
  /** Whether an earlier run had registered the same file. */
  readonly known: boolean
  readonly report: TrainerReport
  readonly decisions: readonly Decision[]
  /** What became of the version, in words; null: nothing was to be done, or it is not done yet. */
  readonly deployed: string | null
  /** The end of what the trainer wrote. */
  readonly log: string
  readonly seconds: { readonly dataset: number; readonly trainer: number }
}

/** Who acts for a run. It differs by run, so that an act which was done before is found. */
export function actorOfRun({ id, subject }: { readonly id: number; readonly subject: string }): string {
  return `training ${subject}, job ${id}`
}
