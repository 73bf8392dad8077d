import { setTimeout } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { LockstepError } from '../../kernel/errors.ts'
import type { FoldQueueOptions } from '../../materializer/events/fold-queue.ts'
import { createFoldQueue } from '../../materializer/events/fold-queue.ts'

const away = () => new LockstepError('REDIS_UNAVAILABLE', 'It is away.')

/** A queue that notes what is folded, and does it as the test says. */
function queue(fold: FoldQueueOptions['fold'], options: Partial<FoldQueueOptions> = {}) {
  const folded: number[][] = []
  const failures: unknown[] = []
  const noting: FoldQueueOptions['fold'] = async (source, xids) => {
    folded.push([...xids])
    return await fold(source, xids)
  }
  return {
    folded,
    failures,
    ...createFoldQueue({ fold: noting, onFailure: (_, error) => void failures.push(error), waitMs: 60_000, ...options }),
  }
}

describe('the queue of transactions that are to be folded', () => {
  it('folds one source in sequence, and what arrives meanwhile together', async () => {
    let running = 0
    const { add, close, folded } = queue(async () => {
      expect(++running).toBe(1)
      await setTimeout(5)
      running--
      return true
    })
    expect(await Promise.all([5, 7, 6].map((xid) => add('s', xid)))).toEqual([true, true, true])
    expect(folded).toEqual([[5], [7, 6]])
    expect(await add('s', 8)).toBe(true)
    await close(1000)
  })

  it('reports a view that is left to its next run', async () => {
    const { add, close } = queue(async () => false)
    expect(await add('s', 5)).toBe(false)
    await close(1000)
  })

  it('folds again while the store is down, and answers at once that it is not done', async () => {
    let tries = 0
    const { add, room, close, folded, failures } = queue(async () => {
      if (++tries < 3) throw away()
      return true
    })
    expect(await Promise.all([add('s', 5), add('s', 6)])).toEqual([false, false])
    await room('s')
    await expect.poll(() => folded.length).toBe(3)
    await close(1000)
    expect(folded).toEqual([[5], [5, 6], [5, 6]])
    expect(failures).toHaveLength(1)
  })

  it('leaves a single failing transaction to the next run, and continues', async () => {
    const { add, close, folded, failures } = queue(async (_, [xid]) => {
      if (xid === 5) throw new LockstepError('TRANSFORM_FAILED', 'It divides by nothing.')
      return true
    })
    expect(await Promise.all([add('s', 5), add('s', 6)])).toEqual([false, true])
    expect(folded).toEqual([[5], [6]])
    expect(failures).toHaveLength(1)
    await close(1000)
  })

  it('waits a bounded time for a silent store when folding, queueing and closing', async () => {
    const { add, room, close } = queue(() => new Promise(() => undefined), { waitMs: 20 })
    const start = performance.now()
    expect(await Promise.all([add('s', 5), add('s', 6)])).toEqual([false, false])
    await room('s')
    await room('another')
    await close(20)
    expect(performance.now() - start).toBeLessThan(30_000)
    expect(await add('s', 7)).toBe(false)
  })

  it('delays callers while the queue is full', async () => {
    let release: () => void = () => undefined
    const held = new Promise<void>((resolve) => (release = resolve))
    const { add, room, close } = queue(async () => {
      await held
      return true
    })
    const adding = [add('s', 5), add('s', 6)]
    let hasRoom = false
    const waiting = room('s').then(() => (hasRoom = true))
    await setTimeout(20)
    expect(hasRoom).toBe(false)
    release()
    await waiting
    expect(await Promise.all(adding)).toEqual([true, true])
    await close(1000)
  })
})
