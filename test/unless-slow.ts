import { setTimeout } from 'node:timers/promises'

const tickMs = 10

/**
 * Runs steps that depend on short times of the product, which a slow machine or a paused process can exceed. They are
 * run again if they fail and took `withinMs` or longer: a faster failure counts.
 *
 * @param steps gets the number of the attempt, from 0 on
 */
export async function unlessSlow(withinMs: number, steps: (attempt: number) => Promise<void>): Promise<void> {
  await repeat(() => {
    const startedMs = performance.now()
    return () => performance.now() - startedMs >= withinMs
  }, steps)
}

/**
 * As `unlessSlow`, for steps that take long: a failure counts if neither this process nor the server that they use
 * stood still for `stallMs`.
 *
 * @param ping waits for an answer of the server; absent: it is not watched
 */
export async function unlessStalled(
  stallMs: number,
  steps: (attempt: number) => Promise<void>,
  ping: () => Promise<unknown> = () => Promise.resolve(),
): Promise<void> {
  await repeat(() => {
    let isOver = false
    let notedMs = performance.now()
    let longestMs = 0
    // a monitor of Node's event loop counts a stall only at its next tick, and none before its first
    const note = (): void => {
      const now = performance.now()
      longestMs = Math.max(longestMs, now - notedMs - tickMs)
      notedMs = now
    }
    void (async () => {
      while (!isOver) {
        await setTimeout(tickMs)
        await ping().catch(() => undefined)
        note()
      }
    })()
    return () => {
      isOver = true
      note()
      return longestMs >= stallMs
    }
  }, steps)
}

const patienceMs = 150_000

/** @param watch returns what says after an attempt whether its failure is the machine's */
async function repeat(watch: () => () => boolean, steps: (attempt: number) => Promise<void>): Promise<void> {
  const endMs = performance.now() + patienceMs
  for (let attempt = 0; ; attempt++) {
    const wasSlow = watch()
    try {
      await steps(attempt)
      wasSlow()
      return
    } catch (error) {
      if (!wasSlow() || performance.now() > endMs) throw error
    }
  }
}
