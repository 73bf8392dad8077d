import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createBatchedModel } from '../../inference/batched-model.ts'
import type { Prediction } from '../../inference/load-model.ts'
import { openInlineSession } from '../../inference/inline-session.ts'
import { createLatencyEstimator, subprocessBudgetMs, maxRunRows } from '../../inference/latency-estimator.ts'
import type { FeatureRow } from '../../inference/tensor-writer.ts'
import type { TensorValue } from '../../inference/tensor-value.ts'
import { tensorRows } from '../../inference/tensor-value.ts'
import { onnx } from '../serving/fixtures.ts'
import { byTurn, load } from '../serving/load.ts'
import { unlessStalled } from '../unless-slow.ts'
import { centeringModel, treeModel } from './made-models.ts'

const score = [{ name: 'score', type: { kind: 'float32' } }] as const
const models = [
  { model: 'identity', bytes: 'identity', name: 'echo', tolerance: 0 },
  { model: 'an MLP', bytes: 'mlp', name: 'delay', tolerance: 0 },
  { model: 'trees', bytes: treeModel(20, 4), name: 'delay', output: score, tolerance: 1e-6 },
  { model: 'a linear classifier', bytes: 'logistic', name: 'classes', tolerance: 0 },
]

const value = fc.float({ noNaN: true, noDefaultInfinity: true })
const row = fc.tuple(fc.option(value), fc.integer({ min: -1000, max: 1000 }), value)
// from none to more than one caller's rows in a run, and more rows of one caller than a run has
const callers = fc.array(fc.array(row, { maxLength: 256, size: 'max' }), { maxLength: 5, size: 'max' })

/** @param tolerance what models differ by between runs of other rows, see docs/models.md; 0: nothing */
function near(a: unknown, b: unknown, tolerance: number): boolean {
  if (a instanceof Float32Array && b instanceof Float32Array)
    return a.length === b.length && a.every((each, i) => near(each, b[i], tolerance))
  if (typeof a === 'number' && typeof b === 'number') return Object.is(a, b) || Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(a))
  return a === b
}

describe('the batcher', () => {
  it.each(models)('gives each caller of $model the results of its rows alone', async ({ bytes, name, output, tolerance }) => {
    const runs: number[] = []
    const model = await load(bytes, 'flight', name, output, (rows) => runs.push(rows))
    const sizes = fc.integer({ min: 1, max: 128 })
    await fc.assert(
      fc.asyncProperty(callers, sizes, async (requests, maxRows) => {
        const batched = createBatchedModel(model, { ...byTurn, maxRows: () => maxRows })
        const answers = await Promise.all(requests.map((rows) => batched.predict(rows)))
        expect(Math.max(0, ...runs.splice(0))).toBeLessThanOrEqual(maxRows)
        const alone: Prediction[] = []
        for (const each of requests.flat()) alone.push(...(await model.run([each])))
        expect(answers.map((each) => each.length)).toEqual(requests.map((each) => each.length))
        const all = answers.flat()
        expect(all.map((prediction) => prediction.length)).toEqual(alone.map((prediction) => prediction.length))
        expect(all.every((prediction, i) => prediction.every((one, o) => near(one, alone[i]?.[o], tolerance)))).toBe(true)
        runs.splice(0)
      }),
      { numRuns: 30 },
    )
    await model.close()
  })

  it.each(models)('gives each tensor call of $model the results of that call alone', async ({ bytes, name, output, tolerance }) => {
    const model = await load(bytes, 'flight', name, output)
    const sizes = fc.integer({ min: 1, max: 64 })
    const calls = fc.array(fc.array(fc.tuple(value, value, value), { minLength: 1, maxLength: 40, size: 'max' }), { maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(calls, sizes, async (requests, maxRows) => {
        const batched = createBatchedModel(model, { ...byTurn, maxRows: () => maxRows })
        const feeds = requests.map((rows) => ({
          features: { type: 'float32', dims: [rows.length, 3], data: new Float32Array(rows.flat()) },
        }))
        const answers = await Promise.all(feeds.map((each) => batched.runTensors(each)))
        for (const [i, answer] of answers.entries()) {
          const alone = await model.runTensors(feeds[i] ?? {})
          expect(Object.keys(answer)).toEqual(Object.keys(alone))
          for (const [output_, { type, dims, data }] of Object.entries(answer)) {
            expect([type, dims]).toEqual([alone[output_]?.type, alone[output_]?.dims])
            expect(Array.from(data as Float32Array).every((each, at) => near(each, alone[output_]?.data[at], tolerance))).toBe(true)
          }
        }
      }),
      { numRuns: 20 },
    )
    await model.close()
  })

  it.each(['logistic', 'linear'])('gives a row the same bits from model %s, alone and in a batch, for large values', async (file) => {
    const session = await openInlineSession(await onnx(file), file)
    const [input] = session.metadata.inputs
    const fetches = session.metadata.outputs.map(({ name }) => name)
    const width = Number(input?.shape[1])
    const wide = fc.oneof(value, fc.float({ noNaN: true, min: -10_000, max: 10_000 }))
    const rows = fc.array(fc.array(wide, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 40, size: 'max' })
    const run = async (some: readonly (readonly number[])[]) => {
      const features = { type: 'float32', dims: [some.length, width], data: new Float32Array(some.flat()) }
      return (await session.run({ [input?.name ?? '']: features }, fetches)).tensors
    }
    await fc.assert(
      fc.asyncProperty(rows, async (some) => {
        const together = await run(some)
        for (const [at, each] of some.entries()) {
          const alone = await run([each])
          for (const name of fetches) expect(alone[name]).toEqual(tensorRows(together[name] as TensorValue, at, at + 1))
        }
      }),
      { numRuns: 30, examples: [[[[99.8440933227539, 75, 0].slice(0, width), [0, 0, 0].slice(0, width)]]] },
    )
    await session.release()
  })

  it('runs what arrives in one turn together', async () => {
    const runs: number[] = []
    const model = await load('identity', 'flight', 'echo', undefined, (rows) => runs.push(rows))
    const batched = createBatchedModel(model, byTurn)
    await Promise.all(Array.from({ length: 50 }, (_, i) => batched.predict([[i, i, i]])))
    const three = { features: { type: 'float32', dims: [1, 3], data: new Float32Array(3) } }
    await Promise.all(Array.from({ length: 20 }, () => batched.runTensors(three)))
    expect(runs).toEqual([50, 20])
    await model.close()
  })

  it('runs single rows of one turn together, and arriving batches separately', async () => {
    const runs: number[] = []
    const model = await load('identity', 'flight', 'echo', undefined, (rows) => runs.push(rows))
    const batched = createBatchedModel(model, byTurn)
    const inTicksOfOneTurn = (counts: readonly number[]) =>
      Promise.all(
        counts.map(
          (count) =>
            new Promise((resolve) =>
              setImmediate(() => resolve(Promise.all(Array.from({ length: count }, () => batched.predict([[1, 1, 1]]))))),
            ),
        ),
      )
    await inTicksOfOneTurn([1, 1, 1, 1])
    expect(runs.splice(0)).toEqual([4])
    await inTicksOfOneTurn([3, 1, 1])
    expect(runs).toEqual([3, 2])
    await model.close()
  })

  it('keeps within the rows of a run, and parts a job that is longer', async () => {
    const runs: number[] = []
    const model = await load('identity', 'flight', 'echo', undefined, (rows) => runs.push(rows))
    const batched = createBatchedModel(model, { ...byTurn, maxRows: () => 4 })
    const rowsOf = (count: number): FeatureRow[] => Array.from({ length: count }, (_, i) => [i, i, i])
    const answers = await Promise.all([3, 2, 10, 1, 0].map((count) => batched.predict(rowsOf(count))))
    expect(answers.map((each) => each.length)).toEqual([3, 2, 10, 1, 0])
    expect(runs).toEqual([3, 4, 4, 4, 1])
    await model.close()
  })

  it('waits for more rows as long as configured, unless a run is full', async () => {
    const runs: number[] = []
    const model = await load('identity', 'flight', 'echo', undefined, (rows) => runs.push(rows))
    const batched = createBatchedModel(model, { ...byTurn, maxRows: () => 3, delayMs: 20 })
    await unlessStalled(20, async () => {
      runs.length = 0
      const first = batched.predict([[1, 1, 1]])
      await new Promise((resolve) => setImmediate(resolve))
      const second = batched.predict([[2, 2, 2]])
      await Promise.all([first, second])
      expect(runs).toEqual([2])
    })
    const patient = createBatchedModel(model, { ...byTurn, maxRows: () => 3, delayMs: 3_600_000 })
    await Promise.all([1, 2, 3].map((i) => patient.predict([[i, i, i]])))
    expect(runs).toEqual([2, 3])
    await model.close()
  })

  it('runs a model of one row at a time row by row', async () => {
    const runs: number[] = []
    const model = await load('single', 'flight', 'echo', [{ name: 'total', type: { kind: 'float32' } }], (rows) => runs.push(rows))
    const batched = createBatchedModel(model, byTurn)
    const answers = await Promise.all([
      batched.predict([
        [1, 2, 3],
        [4, 5, 6],
      ]),
      batched.predict([[7, 8, 9]]),
    ])
    expect(answers).toEqual([[[6], [15]], [[24]]])
    expect(runs).toEqual([1, 1, 1])
    await model.close()
  })

  it('runs rows alone if the rows of a batch are not independent', async () => {
    const model = await load(centeringModel(), 'flight', 'echo')
    const batched = createBatchedModel(model, { ...byTurn, sharesRuns: false })
    const both = await Promise.all([batched.predict([[1, 2, 3]]), batched.predict([[4, 5, 6]])])
    expect(both).toEqual([[[new Float32Array(3)]], [[new Float32Array(3)]]])
    // but tensors of one call belong together
    const { out } = await batched.runTensors({ features: { type: 'float32', dims: [2, 3], data: new Float32Array([1, 1, 1, 3, 3, 3]) } })
    expect(out?.data).toEqual(new Float32Array([-1, -1, -1, 1, 1, 1]))
    await model.close()
  })

  it('fails only the caller of a row that fails', async () => {
    const model = await load('named', 'typed', 'typed')
    const batched = createBatchedModel(model, byTurn)
    const good: FeatureRow = [1, 2n, 'x', true, new Float32Array([3, 4])]
    const bad: FeatureRow = [1, null, 'x', true, null]
    const long = Array.from({ length: 300 }, (_, i) => (i === 5 ? bad : good))
    const answers = await Promise.allSettled([[good], [bad], long, [good]].map((rows) => batched.predict(rows)))
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled'])
    expect(await batched.predict([good])).toHaveLength(1)
    await model.close()
  })
})

describe('run times', () => {
  it('estimate run times that grow with the rows', () => {
    const times = createLatencyEstimator()
    for (const rows of [1, 8, 32, 128]) times.note(rows, 0.01 + rows * 0.002)
    expect(times.predictMs(64)).toBeCloseTo(0.138, 6)
    expect(times.bestRows(10)).toBe(maxRunRows)
  })

  it('find the size that is cheapest by the row, which can be below the largest', () => {
    // 500 trees: microseconds by the row, as measured
    const times = createLatencyEstimator()
    for (const [rows, us] of [
      [1, 16],
      [8, 7.8],
      [32, 6.5],
      [128, 11.6],
    ] as const)
      times.note(rows, (rows * us) / 1000)
    expect(times.bestRows(0.3)).toBe(32)
    expect(times.bestRows(0.5)).toBe(64)
    times.note(64, 64 * 0.009)
    expect(times.bestRows(10)).toBe(32)
  })

  it('keep a run within its bound, with one row at least', () => {
    const times = createLatencyEstimator()
    for (const rows of [1, 2, 4, 8, 16]) times.note(rows, 2 + rows)
    expect(times.bestRows(7)).toBe(4)
    expect(times.bestRows(0.5)).toBe(1)
  })

  it('let slow rows share a run of at most twice the time, well below their sum', () => {
    expect(subprocessBudgetMs(0.7, 5000)).toBe(5)
    expect(subprocessBudgetMs(20, 5000)).toBe(40)
    expect(subprocessBudgetMs(20, 38)).toBe(9.5)
    const flat = createLatencyEstimator()
    for (const rows of [1, 8, 32, 128, 256]) flat.note(rows, 20 + rows / 8)
    expect(flat.bestRows(subprocessBudgetMs(20.125, 5000))).toBe(128)
    // each costs its own: nobody is to wait for others
    const linear = createLatencyEstimator()
    for (const rows of [1, 8]) linear.note(rows, rows * 10)
    expect(linear.bestRows(subprocessBudgetMs(10, 5000))).toBe(1)
  })

  it('skip a size whose run exceeded its time limit', () => {
    const times = createLatencyEstimator()
    for (const rows of [1, 8]) times.note(rows, 20)
    expect(times.bestRows(40)).toBe(8)
    times.note(8, 5000)
    expect(times.bestRows(40)).toBe(1)
  })

  it('follow a model that has become slower, and one slow run hardly', () => {
    const times = createLatencyEstimator()
    for (let i = 0; i < 100; i++) times.note(1, 1)
    times.note(1, 100)
    expect(times.predictMs(1)).toBeLessThan(3)
    for (let i = 0; i < 500; i++) times.note(1, 4)
    expect(times.predictMs(1)).toBeCloseTo(4, 1)
  })

  it('are unknown before the first run', () => {
    expect(createLatencyEstimator().predictMs(100)).toBe(0)
    expect(createLatencyEstimator().bestRows(1)).toBe(32)
  })
})
