import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout } from 'node:timers/promises'

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
    const delays = monitorEventLoopDelay({ resolution: 20 })
    delays.enable()
    let isOver = false
    let askedMs = performance.now()
    let longestMs = 0
    const note = (): void => void (longestMs = Math.max(longestMs, performance.now() - askedMs))
    void (async () => {
      while (!isOver) {
        askedMs = performance.now()
        await ping().catch(() => undefined)
        note()
        await setTimeout(20)
      }
    })()
    return () => {
      isOver = true
      delays.disable()
      note()
      return delays.max >= stallMs * 1e6 || longestMs >= stallMs
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
