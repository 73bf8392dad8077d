import { z } from 'zod'
import type { SubmittedKind } from '../../runtime/jobs/submit-job.ts'
import type { Requirement } from './training-spec.ts'
import { trainingKind, trainingSpec } from './training-spec.ts'

/** A run keeps the definition that it was begun with. Its instant is the moment of its job. */
export const trainingRunSpec = z.object({ training: trainingSpec })
export type TrainingRunSpec = z.output<typeof trainingRunSpec>

/** The kind of training runs, as far as others need it. The code of its steps is in the room `training/`. */
export const trainingRuns = {
  name: trainingKind,
  spec: trainingRunSpec,
  keepDays: 365,
  plan: true,
  finish: true,
} as const satisfies SubmittedKind<TrainingRunSpec>

/** The plan that all attempts of a run share. Times are epoch microseconds. */
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

/** The parts of a run, in order. */
export const trainingParts = ['features', 'training set', 'trainer', 'evaluation', 'registration', 'deployment'] as const
export type TrainingPart = (typeof trainingParts)[number]

/** A requirement, and whether a version meets it. */
export interface Decision {
  readonly requirement: Requirement
  readonly holds: boolean
  /** In words: `auc is 0.83, which is at least 0.8`. */
  readonly text: string
}

/** A figure that Lockstep measured, with its 95 % interval. */
export interface MeasuredFigure {
  readonly value: number
  readonly low: number | null
  readonly high: number | null
}

/** How a version and the champion do on the test rows, run as a server runs them. What has no value is absent. */
export interface TrainingEvaluation {
  /** The output that was compared with the label; null: none could be. */
  readonly output: string | null
  readonly rows: number
  readonly candidate: Readonly<Record<string, MeasuredFigure>>
  /** Its version; null: there is none. */
  readonly champion: number | null
  readonly championFigures: Readonly<Record<string, MeasuredFigure>>
  /** Those of the version minus those of the champion, on rows that both answer. */
  readonly differences: Readonly<Record<string, MeasuredFigure>>
  /** Why figures are missing, and what limits them, a sentence each. */
  readonly notes: readonly string[]
}

/** The result of a run, which the history keeps. */
export interface TrainingResult {
  /** `refused`: the version does not meet a requirement, so it is not registered. */
  readonly outcome: 'registered' | 'refused'
  readonly dataset: string
  readonly rows: { readonly train: number; readonly test: number }
  /** null: it was refused. */
  readonly version: number | null
  /** Whether an earlier run had registered the same file. */
  readonly known: boolean
  /** Those that Lockstep measured, and of the trainer's those with other names. */
  readonly metrics: Readonly<Record<string, number>>
  /** Those that the trainer reported, beside those of the definition. */
  readonly parameters: Readonly<Record<string, unknown>>
  readonly evaluation: TrainingEvaluation
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

/** The run that an actor is; null: it is none. */
export function runOfActor(actor: string | null): { readonly training: string; readonly job: number } | null {
  const [, training, job] = /^training (\S+), job (\d{1,15})$/.exec(actor ?? '') ?? []
  return training === undefined ? null : { training, job: Number(job) }
}
