import { LockstepError } from '../kernel/errors.ts'

export interface LimitOptions {
  /** How many run at once. */
  readonly running: number
  /** How many may wait for their turn. */
  readonly waiting: number
  /** What an error calls them: `reads of the history`. */
  readonly name: string
}

/**
 * Runs so many at once, in the order of arrival.
 *
 * @throws LockstepError (what it returns) `BUSY` where too many wait already
 */
export function createLimit({ running, waiting, name }: LimitOptions): <T>(run: () => Promise<T>) => Promise<T> {
  const queue: (() => void)[] = []
  let free = running

  return async (run) => {
    if (free > 0) free--
    else if (queue.length < waiting) await new Promise<void>((resolve) => queue.push(resolve))
    else throw new LockstepError('BUSY', `The server has ${running} ${name} under way and ${waiting} waiting; try again soon.`)
    try {
      return await run()
    } finally {
      // The place goes straight to the next in the queue.
      const next = queue.shift()
      if (next === undefined) free++
      else next()
    }
  }
}
