import { describe, expect, it } from 'vitest'
import {
  backoffMs,
  createSemaphore,
  jitter,
  orTimeout,
  sleep,
  startPollLoop,
  timedOut,
  withPatience,
  withTimeout,
} from '../../runtime/async.ts'

describe('a poll loop', () => {
  it('runs at once when woken, and again if it was running', async () => {
    let runs = 0
    let end: () => void = () => undefined
    const task = () => new Promise<void>((resolve) => (runs++, (end = resolve)))
    const loop = startPollLoop(task, () => 60_000)
    expect(runs).toBe(1)
    loop.wake()
    loop.wake()
    expect(runs).toBe(1)
    end()
    await new Promise((resolve) => setImmediate(resolve))
    expect(runs).toBe(2)
    end()
    await loop.first
    loop.wake()
    expect(runs).toBe(3)
    const stopped = loop.stop()
    loop.wake()
    end()
    await stopped
    expect(runs).toBe(3)
  })
})

describe('a semaphore', () => {
  it('limits parallel runs, keeps their order, and frees the slot of a failed one', async () => {
    const limit = createSemaphore({ permits: 2, queue: { max: 3, name: 'things' } })
    const ends: (() => void)[] = []
    const begun: number[] = []
    const run = (n: number) =>
      limit(async () => {
        begun.push(n)
        await new Promise<void>((resolve, reject) => ends.push(n % 2 === 0 ? resolve : () => reject(new Error(`${n}`))))
        return n
      })
    const runs = Promise.allSettled([0, 1, 2, 3, 4, 5].map(run))
    expect(begun).toEqual([0, 1])
    for (let n = 0; n < 5; n++) {
      ends[n]?.()
      await sleep(0)
    }
    const settled = await runs
    expect(begun).toEqual([0, 1, 2, 3, 4])
    expect(settled.map((one) => (one.status === 'fulfilled' ? one.value : (one.reason as Error).message))).toEqual([
      0,
      '1',
      2,
      '3',
      4,
      expect.stringContaining('2 things in progress and 3 waiting'),
    ])
    await limit(async () => undefined)
  })
})

describe('a timeout', () => {
  const never = new Promise<never>(() => undefined)

  it('passes a result or an error through when the work ends first', async () => {
    expect(await orTimeout(Promise.resolve(1), 60_000)).toBe(1)
    expect(await withTimeout(Promise.resolve(2), 60_000, () => new Error('late'))).toBe(2)
    await expect(orTimeout(Promise.reject(new Error('failed')), 60_000)).rejects.toThrow('failed')
    await expect(withTimeout(Promise.reject(new Error('failed')), 60_000, () => new Error('late'))).rejects.toThrow('failed')
  })

  it('ends the wait for a time that is over already, and Node warns of none', async () => {
    const warnings: Error[] = []
    const note = (warning: Error): void => void warnings.push(warning)
    process.on('warning', note)
    expect(await orTimeout(new Promise(() => undefined), -1)).toBe(timedOut)
    process.off('warning', note)
    expect(warnings).toEqual([])
  })

  it('ends the wait when the time runs out, and ignores the work that fails later', async () => {
    expect(await orTimeout(never, 1)).toBe(timedOut)
    let fail: (error: Error) => void = () => undefined
    const work = new Promise<number>((_, reject) => (fail = reject))
    await expect(withTimeout(work, 1, () => new Error('too slow'))).rejects.toThrow('too slow')
    fail(new Error('nobody waits for this'))
    await sleep(0)
  })
})

describe('a patient timeout', () => {
  it('ends the wait after its time, and not for a stall of the process', async () => {
    const began = performance.now()
    const error = () => new Error('too slow')
    await expect(withPatience(new Promise<never>(() => undefined), 50, error)).rejects.toThrow('too slow')
    expect(performance.now() - began).toBeGreaterThan(45)
    const answer = new Promise<string>((resolve) => setImmediate(() => setImmediate(resolve, 'read')))
    const patient = withPatience(answer, 50, error)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
    expect(await patient).toBe('read')
  })
})

describe('a back-off', () => {
  it('doubles with each failure up to its maximum, and is 0 before the first', () => {
    const waits = [0, 1, 2, 3, 4, 5].map((failures) => backoffMs(failures, { firstMs: 100, maxMs: 700 }))
    expect(waits).toEqual([0, 100, 200, 400, 700, 700])
  })

  it('gets at most 25 % jitter', () => {
    const waits = Array.from({ length: 1000 }, () => jitter(100))
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(75)
    expect(Math.max(...waits)).toBeLessThan(125)
    expect(new Set(waits).size).toBeGreaterThan(900)
  })
})

describe('a sleep', () => {
  it('ends at once when its signal is aborted', async () => {
    const abort = new AbortController()
    const asleep = sleep(600_000, { signal: abort.signal })
    abort.abort()
    await asleep
    await sleep(600_000, { signal: abort.signal })
  })
})
