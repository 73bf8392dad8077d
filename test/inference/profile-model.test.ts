import { describe, expect, it } from 'vitest'
import { openInlineSession } from '../../inference/inline-session.ts'
import { profileModel } from '../../inference/profile-model.ts'
import type { ModelSession } from '../../inference/model-session.ts'
import { onnx } from '../serving/fixtures.ts'

const how = { single: false, tolerance: 1e-6 }

/** The perceptron, with runs that take what the clock of a machine may say of them, milliseconds. */
async function timed(msOf: (rows: number, run: number) => number): Promise<{ session: ModelSession; runs: number[] }> {
  const session = await openInlineSession(await onnx('mlp'), 'mlp')
  const runs: number[] = []
  return {
    runs,
    session: {
      ...session,
      async run(feeds, fetches) {
        const rows = feeds['features']?.dims[0] ?? 0
        const { tensors } = await session.run(feeds, fetches)
        return { tensors, ms: msOf(rows, runs.push(rows) - 1) }
      },
    },
  }
}

describe('what a model is measured by', () => {
  it('is the least of several runs, also where the machine holds up the first', async () => {
    const { session, runs } = await timed((_, run) => (run >= 8 && run % 4 === 0 ? 40 : 0.02))
    const { times, sharesRuns } = await profileModel(session, how)
    expect(times).toEqual([1, 8, 32, 128, 256].map((rows) => [rows, 0.02]))
    expect(sharesRuns).toBe(true)
    expect(runs.length).toBeLessThan(50)
    await session.release()
  })

  it('is two sizes at least where a row is slow, so that rows may share runs', async () => {
    const { session } = await timed((rows) => 10 * rows)
    expect(await profileModel(session, how)).toEqual({
      times: [
        [1, 10],
        [8, 80],
      ],
      sharesRuns: true,
      independent: true,
    })
    await session.release()
  })

  it('is each size whose run takes twice as long as a row at most', async () => {
    const { session } = await timed((rows) => 20 + rows / 8)
    const { times } = await profileModel(session, how)
    expect(times).toEqual([1, 8, 32, 128, 256].map((rows) => [rows, 20 + rows / 8]))
    await session.release()
  })

  it('is one row where the model takes no more at a time, whatever it says', async () => {
    const { session } = await timed((rows) => {
      if (rows > 1) throw new Error('It takes one row.')
      return 20
    })
    expect(await profileModel(session, how)).toEqual({ times: [[1, 20]], sharesRuns: false, independent: false })
    await session.release()
  })

  it('is one run where a row takes so long that more cannot be waited for', async () => {
    const { session, runs } = await timed(() => 500)
    expect(await profileModel(session, how)).toEqual({ times: [[1, 500]], sharesRuns: false, independent: false })
    expect(runs).toEqual([1, 1])
    await session.release()
  })
})
