import { describe, expect, it } from 'vitest'
import { repeat } from '../../runtime/poll-loop.ts'

describe('something that is repeated', () => {
  it('runs at once when it is woken, and once more where it was running', async () => {
    let runs = 0
    let end: () => void = () => undefined
    const task = () => new Promise<void>((resolve) => (runs++, (end = resolve)))
    const repeated = repeat(task, () => 60_000)
    expect(runs).toBe(1)
    repeated.wake()
    repeated.wake()
    expect(runs).toBe(1)
    end()
    await new Promise((resolve) => setImmediate(resolve))
    expect(runs).toBe(2)
    end()
    await repeated.first
    repeated.wake()
    expect(runs).toBe(3)
    const stopped = repeated.stop()
    repeated.wake()
    end()
    await stopped
    expect(runs).toBe(3)
  })
})
