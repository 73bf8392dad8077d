import { describe, expect, it } from 'vitest'
import { createAllRowsRunner, createColumnRunner } from '../../inference/run-columns.ts'
import { load } from '../serving/load.ts'
import { limitedModel } from './made-models.ts'

const columnsOf = (rows: number) => [0, 1, 2].map((c) => Array.from({ length: rows }, (_, row) => 3 * row + c))
const timeoutMs = () => 60_000

describe('rows that all need a prediction', () => {
  it('are halved while a run of them fails', async () => {
    const model = await load(limitedModel(300), 'flight', 'echo')
    const sizes: number[] = []
    const counted: typeof model.runColumns = (columns, from, to, ms) => {
      sizes.push(to - from)
      return model.runColumns(columns, from, to, ms)
    }
    const runAll = createAllRowsRunner({ ...model, runColumns: counted }, true, timeoutMs)
    const [out] = await runAll(columnsOf(3000), 3000)
    expect(out).toHaveLength(3000)
    expect([out?.[0], out?.[2999]]).toEqual([Float32Array.of(0, 1, 2), Float32Array.of(8997, 8998, 8999)])
    expect(sizes.slice(0, 5)).toEqual([2048, 1024, 512, 256, 256])
    await model.close()
  })

  it('fail if one of them fails alone', async () => {
    const model = await load(limitedModel(0), 'flight', 'echo')
    await expect(createAllRowsRunner(model, true, timeoutMs)(columnsOf(5), 5)).rejects.toMatchObject({ code: 'MODEL_FAILED' })
    await model.close()
  })
})

it('a run that is stopped begins no further run, even if the one under way fails', async () => {
  const model = await load(limitedModel(2), 'flight', 'echo')
  const stop = new AbortController()
  let runs = 0
  const runColumns: typeof model.runColumns = (columns, from, to) => {
    runs++
    stop.abort(new Error('stopped'))
    return model.runColumns(columns, from, to)
  }
  const run = createColumnRunner({ ...model, runColumns }, true, timeoutMs)
  await expect(run(columnsOf(4), 4, { signal: stop.signal })).rejects.toThrow('stopped')
  expect(runs).toBe(1)
  await model.close()
})
