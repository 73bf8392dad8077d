import { formatTimestamp } from '../kernel/time.ts'
import type { Backfill } from '../materializer/read-backfills.ts'
import { backfillJson, readBackfills } from '../materializer/read-backfills.ts'
import type { DeadLetter } from '../materializer/scheduled-runs.ts'
import { deadLetters } from '../materializer/scheduled-runs.ts'
import type { Context } from './context.ts'
import { ago, duration } from './human.ts'

export interface JobStatus {
  readonly backfills: readonly Backfill[]
  readonly deadLetters: readonly DeadLetter[]
}

/** The running backfills, and the scheduled runs of the store that were given up. */
export async function jobStatus(context: Context, store: string | null): Promise<JobStatus> {
  const db = await context.database()
  const backfills = await readBackfills(db, { state: 'running' })
  return { backfills, deadLetters: store === null ? [] : await deadLetters(db, store) }
}

export function jobStatusJson({ backfills, deadLetters: letters }: JobStatus) {
  return {
    backfills: backfills.map(backfillJson),
    deadLetters: letters.map(({ view, moment, why, attempts, at }) => ({
      view,
      moment: formatTimestamp(moment),
      error: why,
      attempts,
      at: at.toISOString(),
    })),
  }
}

export function jobStatusLines({ backfills, deadLetters: letters }: JobStatus): string[] {
  return [
    ...backfills.map(({ id, view, chunks, chunksDone, secondsLeft }) => {
      const left = secondsLeft === null ? '' : `, ${duration(secondsLeft * 1000)} left`
      return `backfill ${id} of ${view}: ${chunksDone} of ${chunks} chunks done${left}`
    }),
    ...letters.map(
      ({ view, moment, why, attempts, at }) =>
        `failed: the run of ${view} as of ${formatTimestamp(moment)}, tried ${attempts} times, the last ${ago(Date.now() - at.getTime())}: ${why} Fix the cause; the next run then catches up, or run "lockstep materialize ${view}".`,
    ),
  ]
}
