import { describe, expect, it } from 'vitest'
import { openInlineSession } from '../../inference/inline-session.ts'
import { profileModel } from '../../inference/profile-model.ts'
import type { ModelSession } from '../../inference/model-session.ts'
import { onnx } from '../serving/fixtures.ts'
import { floats, makeOnnx } from './make-onnx.ts'

const how = { single: false, tolerance: 1e-6, rowShapes: {} }

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

describe('the measured sizes of a model', () => {
  it('are the minimum of several runs, even if the machine delays the first', async () => {
    const { session, runs } = await timed((_, run) => (run >= 8 && run % 4 === 0 ? 40 : 0.02))
    const { times, sharesRuns } = await profileModel(session, how)
    expect(times).toEqual([1, 8, 32, 128, 256].map((rows) => [rows, 0.02]))
    expect(sharesRuns).toBe(true)
    expect(runs.length).toBeLessThan(50)
    await session.release()
  })

  it('are not those of a slow row if other load delays one run for long', async () => {
    const { session } = await timed((_, run) => (run === 8 ? 200 : 0.02))
    expect(await profileModel(session, how)).toMatchObject({ times: [1, 8, 32, 128, 256].map((rows) => [rows, 0.02]), sharesRuns: true })
    await session.release()
  })

  it('include at least two sizes for a slow row, so that rows can share runs', async () => {
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

  it('include each size whose run takes at most twice the time of a row', async () => {
    const { session } = await timed((rows) => 20 + rows / 8)
    const { times } = await profileModel(session, how)
    expect(times).toEqual([1, 8, 32, 128, 256].map((rows) => [rows, 20 + rows / 8]))
    await session.release()
  })

  it('are more than two if a row is slow, and two take hardly longer', async () => {
    const { session } = await timed((rows) => 60 + rows / 8)
    expect(await profileModel(session, how)).toEqual({
      times: [1, 2, 8, 32, 128, 256].map((rows) => [rows, 60 + rows / 8]),
      sharesRuns: true,
      independent: true,
    })
    await session.release()
  })

  it('are two if a row is slow, and two take twice as long', async () => {
    const { session } = await timed((rows) => 60 * rows)
    expect(await profileModel(session, how)).toEqual({
      times: [
        [1, 60],
        [2, 120],
      ],
      sharesRuns: false,
      independent: false,
    })
    await session.release()
  })

  it('are one row if the model takes no more at a time, whatever it declares', async () => {
    const { session } = await timed((rows) => {
      if (rows > 1) throw new Error('It takes one row.')
      return 20
    })
    expect(await profileModel(session, how)).toEqual({ times: [[1, 20]], sharesRuns: false, independent: false })
    await session.release()
  })

  it('are one run if a row is so slow that more would take too long', async () => {
    const { session, runs } = await timed(() => 500)
    expect(await profileModel(session, how)).toEqual({ times: [[1, 500]], sharesRuns: false, independent: false })
    expect(runs).toEqual([1, 1])
    await session.release()
  })
})

describe('a model with a free axis beside the rows', () => {
  it('is tried with rows of the size that its features have', async () => {
    const bytes = makeOnnx({
      opsets: { '': 17 },
      graph: {
        nodes: [{ type: 'MatMul', inputs: ['features', 'weights'], outputs: ['score'] }],
        inputs: [{ name: 'features', type: 'float', shape: ['N', 'width'] }],
        outputs: [{ name: 'score', type: 'float', shape: ['N', 1] }],
        initializers: [{ name: 'weights', type: 'float', dims: [3, 1], raw: floats(1, 2, 3) }],
      },
    })
    const session = await openInlineSession(bytes, 'free')
    expect(await profileModel(session, { ...how, rowShapes: { features: [3] } })).toMatchObject({ sharesRuns: true, independent: true })
    expect(await profileModel(session, how)).toMatchObject({ times: [], sharesRuns: false })
    await session.release()
  })
})
