import { describe, expect, it } from 'vitest'
import { InferenceSession, Tensor } from '../../inference/onnx-runtime.ts'
import { sessionOptions } from '../../inference/create-session.ts'
import { withoutZipMaps, zipMapsOf } from '../../inference/zip-maps.ts'
import { onnx } from '../serving/fixtures.ts'
import { load } from '../serving/load.ts'
import type { OnnxNode } from './make-onnx.ts'
import { makeOnnx } from './make-onnx.ts'

/** A classifier as CatBoost exports it: without any of ONNX's own operators. Of two features per row. */
function zipped(classes: OnnxNode['attributes'], opsets: Readonly<Record<string, number>> = { 'ai.onnx.ml': 3 }): Buffer {
  const scaler = {
    type: 'Scaler',
    domain: 'ai.onnx.ml',
    inputs: ['features'],
    outputs: ['scores'],
    attributes: { scale: [1, 2, 3], offset: [0, 0, 0] },
  }
  return makeOnnx({
    opsets,
    graph: {
      nodes: [scaler, { type: 'ZipMap', domain: 'ai.onnx.ml', inputs: ['scores'], outputs: ['chances'], attributes: { ...classes } }],
      inputs: [{ name: 'features', type: 'float', shape: ['N', 3] }],
      // what is declared here is replaced
      outputs: [{ name: 'chances', type: 'int64', shape: [] }],
    },
  })
}

async function chancesOf(bytes: Uint8Array): Promise<unknown> {
  const session = await InferenceSession.create(withoutZipMaps(bytes), sessionOptions(1))
  const { chances } = await session.run({ features: new Tensor('float32', Float32Array.of(1, 1, 1, 2, 2, 2), [2, 3]) })
  await session.release()
  return [chances?.type, chances?.dims, Array.from((chances?.data ?? []) as Float32Array)]
}

describe('a file with ZipMap', () => {
  it('answers the probabilities that the same model has without it', async () => {
    const output = { name: 'output_probability', type: { kind: 'vector', length: 2 } } as const
    const [plain, mapped] = [await load('logistic', 'flight', 'classes'), await load('zipmap', 'flight', 'classes', [output])]
    const rows = [
      [2, -1, 0.5],
      [-1, 3, 0.25],
    ]
    const expected = (await plain.run(rows)).map(([, pair]) => [pair])
    expect(await mapped.run(rows)).toEqual(expected)
    // as the only row of a run, too
    expect(await mapped.run(rows.slice(0, 1))).toEqual(expected.slice(0, 1))
    expect(mapped.metadata.outputs[1]).toMatchObject({ name: 'output_probability', type: 'float32', isTensor: true })
    await plain.close()
    await mapped.close()
  })

  it('has as many columns as classes, even without operators of ONNX itself', async () => {
    const scores = ['float32', [2, 3], [1, 2, 3, 2, 4, 6]]
    expect(await chancesOf(zipped({ classlabels_strings: ['a', 'b', 'c'] }))).toEqual(scores)
    expect(await chancesOf(zipped({ classlabels_int64s: [0n, 1n, 2n] }, { '': 15, 'ai.onnx.ml': 3 }))).toEqual(scores)
  })

  it('names its classes in order', async () => {
    expect(zipMapsOf(await onnx('zipmap'))).toEqual([{ output: 'output_probability', classes: ['0', '1'] }])
    expect(zipMapsOf(zipped({ classlabels_strings: ['b', 'ä'] }))).toEqual([{ output: 'chances', classes: ['b', 'ä'] }])
    const numbers = [-1n, 300n, 9_007_199_254_740_991n]
    expect(zipMapsOf(zipped({ classlabels_int64s: numbers }))).toEqual([{ output: 'chances', classes: numbers.map(String) }])
  })
})

describe('a file without ZipMap', () => {
  it('is left as it is', async () => {
    const bytes = await onnx('logistic')
    expect(withoutZipMaps(bytes)).toBe(bytes)
    expect(zipMapsOf(bytes)).toEqual([])
  })
})
