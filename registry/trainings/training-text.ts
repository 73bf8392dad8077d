import { durationText } from '../../kernel/values/duration.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { Doing } from '../../runtime/jobs/job-kind.ts'
import type { Punctuality } from './late-trainings.ts'
import type { TrainingRunJson } from './read-runs.ts'
import type { TrainingPart } from './training-run.ts'
import { trainingParts } from './training-run.ts'
import type { Requirement, TrainingSpec } from './training-spec.ts'

/** `90 d, of which the last 7 d are the test, until 21 d before the run` */
export function rowsText({ windowMicros, testMicros, matureMicros }: Omit<TrainingSpec, 'name'>): string {
  const until = matureMicros === 0 ? '' : `, until ${durationText(matureMicros)} before the run`
  return `${durationText(windowMicros)}, of which the last ${durationText(testMicros)} are the test${until}`
}

/** `auc of at least 0.8` */
export function requirementText(requirement: Requirement): string {
  if ('atLeast' in requirement) return `${requirement.metric} of at least ${requirement.atLeast}`
  if ('atMost' in requirement) return `${requirement.metric} of at most ${requirement.atMost}`
  return `${requirement.metric} at most ${requirement.worseByAtMost} worse than the ${requirement.against}`
}

/** The deployment of a registered version, in words. */
export function deployText(deploy: TrainingSpec['deploy']): string {
  if (deploy === 'nothing') return 'registers the version'
  return deploy === 'promote' ? 'promotes the version' : `starts a rollout by ${planText(deploy)}`
}

/** The plan by which a training starts rollouts. */
export function planText({ rollout }: Exclude<TrainingSpec['deploy'], string>): string {
  return typeof rollout === 'string' ? `the plan ${rollout}` : "the training's own plan"
}

const parts: Readonly<Record<TrainingPart, readonly [does: string, unit: string]>> = {
  features: ['reads the features', 'lookups'],
  'training set': ['writes the training set', 'rows'],
  trainer: ['runs the trainer', ''],
  evaluation: ['evaluates the version', 'rows'],
  registration: ['registers the version', ''],
  deployment: ['deploys the version', ''],
}

/** The present work of a run: `It writes the training set: 1,200 of 50,000 rows.` */
export function doingText({ what, done, total }: Doing): string {
  const part = trainingParts.find((each) => each === what)
  const [does, unit] = part === undefined ? [`is at the ${what}`, ''] : parts[part]
  const number = (of: number): string => of.toLocaleString('en-US')
  return `It ${does}${total === 0 ? '' : `: ${number(done)} of ${number(total)} ${unit}`.trimEnd()}.`
}

/** The reason why a run waits. */
export function waitText({ trainer, error }: Pick<TrainingRunJson, 'trainer' | 'error'>): string {
  if (error !== null) return `Its last attempt failed, and a worker will try again: ${error.message}`
  return `No worker has it now. A worker takes it if its folder LOCKSTEP_TRAINERS has an executable file "${trainer}".`
}

/** Why a training is late. */
export function lateText({ training, succeeded }: Punctuality): string {
  const since = succeeded === null ? '' : ` since ${formatTimestamp(Math.round(succeeded))}`
  return `The training "${training}" has registered no version${since}, and two or more instants of its schedule have passed.`
}
