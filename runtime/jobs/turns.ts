/** How long other jobs come before a job, by its id. */
export interface Rest {
  readonly job: number
  /** Negative: it has ended. */
  readonly seconds: number
}

/**
 * The turns of jobs in one process: after a step, other jobs come first for as long as the step took. So jobs share the
 * time and not the number of steps, and one with short steps does not wait for a long step each time.
 */
export interface Turns {
  readonly rests: readonly Rest[]
  /** A step of the job begins: jobs that wait for longer come first. @returns what to call when the step has ended */
  begin(job: number): () => void
}

/** How many jobs are remembered: those of the newest steps. */
const maxRests = 100

/** @param now milliseconds, of a clock that never goes back */
export function createTurns(now: () => number): Turns {
  const until = new Map<number, number>()

  function rest(job: number, moment: number): void {
    const former = until.get(job) ?? moment
    until.delete(job)
    until.set(job, Math.max(former, moment))
    const [oldest] = until.keys()
    if (until.size > maxRests && oldest !== undefined) until.delete(oldest)
  }

  return {
    get rests() {
      const at = now()
      return [...until].map(([job, moment]) => ({ job, seconds: (moment - at) / 1000 }))
    },
    begin(job) {
      const began = now()
      rest(job, began)
      return () => rest(job, 2 * now() - began)
    },
  }
}
