import type { StatusAnswer } from '../serving/protocols/http/status-route.ts'
import { ago, duration } from './human.ts'

/** The running backfills, and the scheduled runs of the store that were given up. */
export function jobStatusLines({ backfills, deadLetters: letters }: Pick<StatusAnswer, 'backfills' | 'deadLetters'>): string[] {
  return [
    ...backfills.map(({ id, view, chunks, chunksDone, secondsLeft }) => {
      const left = secondsLeft === null ? '' : `, ${duration(secondsLeft * 1000)} left`
      return `backfill ${id} of ${view}: ${chunksDone} of ${chunks} chunks done${left}`
    }),
    ...letters.map(
      ({ view, moment, error, attempts, at }) =>
        `failed: the run of ${view} as of ${moment}, tried ${attempts} times, the last ${ago(Date.now() - Date.parse(at))}: ${error} Fix the cause; the next run then catches up, or run "lockstep materialize ${view}".`,
    ),
  ]
}
