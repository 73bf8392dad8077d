import { formatTimestamp } from '../../kernel/values/time.ts'
import type { TrainingRunJson } from '../../registry/trainings/read-runs.ts'
import type { Punctuality } from '../../registry/trainings/late-trainings.ts'
import { trainingKind } from '../../registry/trainings/training-spec.ts'
import { lateText } from '../../registry/trainings/training-text.ts'
import { failedJobsProblem } from './alert-problem.ts'
import type { FoundProblem } from './problem.ts'

/** A run that waits for so long lacks a worker. */
const waitMs = 300_000

export interface WatchedTraining {
  /** The newest. */
  readonly run: TrainingRunJson
  /** null: it has no schedule. */
  readonly punctuality: Punctuality | null
}

/** The problem of a training; null: none. @param nowMs epoch milliseconds */
export function trainingProblem({ run, punctuality }: WatchedTraining, nowMs: number): FoundProblem | null {
  const { training, job, model, trainer, state, outcome, decisions, submittedAt, finishedAt, error } = run
  const base = {
    // as that of the alert about its failed schedule
    id: failedJobsProblem(`${trainingKind} ${training}`),
    causes: [],
    follows: [],
    severity: 'warn',
    since: finishedAt,
    link: { kind: 'job', id: String(job) },
    about: { kind: 'model', id: model },
    command: `lockstep training show ${training}`,
  } as const
  if (state === 'failed') {
    return {
      ...base,
      what: `The training "${training}" failed (job ${job}).`,
      cause: error?.message ?? null,
      todo: 'Remove the cause, and retry the job or run the training again.',
      command: `lockstep job retry ${job}`,
    }
  }
  if (state === 'done' && outcome === 'refused') {
    const unmet = decisions.filter(({ holds }) => !holds).map(({ text }) => text)
    return {
      ...base,
      what: `The training "${training}" made a version that was refused (job ${job}).`,
      cause: `It does not meet what the training requires: ${unmet.join('; ')}.`,
      todo: 'Look at its figures, labels and log. Mend the data or the trainer and run the training again, or change what it requires.',
    }
  }
  if (state === 'running') return null
  if (state !== 'waiting' || nowMs - Date.parse(submittedAt) < waitMs) return punctuality === null ? null : lateProblem(base, punctuality)
  if (error !== null) {
    return {
      ...base,
      since: submittedAt,
      what: `The training "${training}" waits for another attempt (job ${job}).`,
      cause: error.message,
      todo: 'Remove the cause. A worker tries again.',
    }
  }
  return {
    ...base,
    since: submittedAt,
    what: `No worker works on the training "${training}" (job ${job}).`,
    cause: `No worker has the trainer "${trainer}".`,
    todo: `Put an executable file "${trainer}" into the folder LOCKSTEP_TRAINERS of a worker.`,
  }
}

function lateProblem(
  base: Pick<FoundProblem, 'id' | 'causes' | 'follows' | 'severity' | 'link' | 'about' | 'command'>,
  found: Punctuality,
): FoundProblem | null {
  if (found.lateSince === null) return null
  return {
    ...base,
    since: formatTimestamp(found.lateSince),
    what: lateText(found),
    cause: null,
    todo: 'Look at its runs, and check that a worker runs. Then run the training.',
  }
}
