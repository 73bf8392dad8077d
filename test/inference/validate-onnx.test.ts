import { InferenceSession } from '../../inference/onnx-runtime.ts'
import { describe, expect, it } from 'vitest'
import { startModelProcess } from '../../inference/model-process.ts'
import { inspectModel } from '../../inference/inspect-model.ts'
import { newestOnnx } from '../../inference/validate-onnx.ts'
import type { OnnxModel } from './make-onnx.ts'
import { floats, makeOnnx } from './make-onnx.ts'

const { irVersion } = newestOnnx
const opset = newestOnnx.opsets.get('') ?? 0
const ml = newestOnnx.opsets.get('ai.onnx.ml') ?? 0

const add: OnnxModel = {
  graph: {
    nodes: [{ type: 'Add', inputs: ['x', 'w'], outputs: ['y'] }],
    inputs: [{ name: 'x', type: 'float', shape: ['N', 2] }],
    outputs: [{ name: 'y', type: 'float', shape: ['N', 2] }],
    initializers: [{ name: 'w', type: 'float', dims: [2], raw: floats(1, 2) }],
  },
}

const refusal = (message: string) => ({ code: 'MODEL_INVALID', message: expect.stringContaining(message) as string })

describe('a file that cannot be served', () => {
  it.each<[string, OnnxModel, string]>([
    [
      'has its values elsewhere',
      { graph: { ...add.graph, initializers: [{ name: 'w', type: 'float', dims: [2] }] } },
      'save_as_external_data=False',
    ],
    ['is made for newer operators', { ...add, opsets: { '': opset + 1 } }, `convert_version(model, ${opset})`],
    ['is made for newer operators of ai.onnx.ml', { ...add, opsets: { '': 15, 'ai.onnx.ml': ml + 1 } }, 'the operators of ai.onnx.ml'],
    ['is of a newer format', { ...add, irVersion: irVersion + 1 }, `model.ir_version = ${irVersion}`],
    [
      'computes in bfloat16',
      { graph: { ...add.graph, inputs: [{ name: 'x', type: 'bfloat16', shape: ['N', 2] }] } },
      'Export it as float32',
    ],
  ])('that %s is refused with the way to one that can', async (_, model, remedy) => {
    const bytes = makeOnnx(model)
    await expect(inspectModel(bytes, { file: 'model.onnx' })).rejects.toMatchObject(refusal(remedy))
    // the runtime refuses it as well, by other words
    await expect(InferenceSession.create(bytes, { logSeverityLevel: 4 })).rejects.toThrow()
  })

  it('that cannot be read is never loaded', async () => {
    const bytes = Buffer.concat([makeOnnx(add), Buffer.from([0x0b, 0x0c])])
    await expect(inspectModel(bytes, { file: 'model.onnx' })).rejects.toMatchObject(refusal('a field has the wire type 3'))
    // which the runtime would
    await (await InferenceSession.create(bytes, { logSeverityLevel: 4 })).release()
    const modelProcess = startModelProcess()
    await expect(modelProcess.load(bytes, 'model', 60_000)).rejects.toMatchObject({ code: 'MODEL_INVALID' })
    modelProcess.kill()
  })

  it('includes none with the newest format and operators that the runtime knows', async () => {
    const bytes = makeOnnx({ ...add, irVersion, opsets: { '': opset, 'ai.onnx.ml': ml } })
    expect((await inspectModel(bytes, { file: 'model.onnx' })).inputs).toMatchObject([{ name: 'x' }])
    await (await InferenceSession.create(bytes, { logSeverityLevel: 4 })).release()
  })
})
