import { InferenceSession, Tensor } from '../../inference/onnx-runtime.ts'
import { describe, expect, it } from 'vitest'
import { quantizesByRun } from '../../inference/dependent-rows.ts'
import { parseOnnxMetadata } from '../../inference/onnx-metadata.ts'
import { sessionOptions } from '../../inference/create-session.ts'
import { onnx } from '../serving/fixtures.ts'
import type { OnnxGraph, OnnxModel, OnnxNode } from './make-onnx.ts'
import { floats, longs, makeOnnx } from './make-onnx.ts'

const twice: OnnxModel = {
  irVersion: 9,
  producer: 'hand',
  graph: {
    nodes: [{ type: 'Add', inputs: ['x', 'w'], outputs: ['y'] }],
    inputs: [{ name: 'x', type: 'float', shape: ['N', 2] }],
    outputs: [{ name: 'y', type: 'float', shape: ['N', 2] }],
    initializers: [{ name: 'w', type: 'float', dims: [2], raw: floats(1, 2) }],
  },
}

describe('the facts of an ONNX file', () => {
  it('are its version, producer, operator sets and operators', async () => {
    const facts = parseOnnxMetadata(await onnx('logistic'))
    expect(facts.producer).toContain('skl2onnx')
    expect(facts.irVersion).toBe(8)
    expect(Object.fromEntries(facts.opsets)).toEqual({ '': 15, 'ai.onnx.ml': 1 })
    expect([...facts.opTypes]).toContain('ai.onnx.ml.LinearClassifier')
    expect([facts.valueDependentRunTime, facts.externalData]).toEqual([false, []])
    expect([...parseOnnxMetadata(await onnx('zipmap')).opTypes]).toContain('ai.onnx.ml.ZipMap')
  })

  it('describe what the runtime loads, even if a file starts like the ORT format', async () => {
    // a text of six bytes in front, of which four are the mark of that format
    const both = Buffer.concat([Buffer.from([6 * 8 + 2, 6, 0, 0]), Buffer.from('ORTM'), makeOnnx(twice)])
    expect(parseOnnxMetadata(both).nodes).toBe(1)
    const session = await InferenceSession.create(both, sessionOptions(1))
    expect(session.inputNames).toEqual(['x'])
    await session.release()
  })

  it('name the tensors stored in another file, in any use', () => {
    const { graph } = twice
    const elsewhere = { name: 'far', type: 'bfloat16', dims: [2] } as const
    const facts = parseOnnxMetadata(makeOnnx({ ...twice, graph: { ...graph, initializers: [elsewhere] } }))
    expect(facts.externalData).toEqual(['far'])
    expect([...facts.elementTypes].sort()).toEqual(['bfloat16', 'float'])
    const constant = { type: 'Constant', outputs: ['w'], attributes: { value: elsewhere } }
    expect(parseOnnxMetadata(makeOnnx({ ...twice, graph: { ...graph, nodes: [constant, ...graph.nodes] } })).externalData).toEqual(['far'])
  })

  it('name such tensors in every encoding, and reject ambiguous files', () => {
    const { graph } = twice
    const far = (raw: Uint8Array): Buffer =>
      makeOnnx({ ...twice, graph: { ...graph, initializers: [{ name: 'far', type: 'float', dims: [1], raw }] } })
    // a field of the tensor in place of its raw data, which are as long
    const spelled = (field: readonly number[]): Buffer => {
      const raw = new Uint8Array(field.length - 2).fill(0xee)
      const bytes = far(raw)
      const at = bytes.indexOf(Buffer.from([9 * 8 + 2, raw.length, ...raw]))
      bytes.set(field, at)
      return bytes
    }
    const dataLocation = 14 * 8
    // 1, 1 + 2^32, 1 + 2^63; and where it lies, without that it does
    for (const field of [
      [dataLocation, 0x01],
      [dataLocation, 0x81, 0x80, 0x80, 0x80, 0x10],
      [dataLocation, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
      [13 * 8 + 2, 0x00],
    ])
      expect(parseOnnxMetadata(spelled(field)).externalData).toEqual(['far'])
    // a group at the end, a tag beyond 32 bits and one that is longer than any
    for (const tail of [
      [0x0b, 0x0c],
      [0xf0, 0x80, 0x80, 0x80, 0x10, 0x01],
      [0xf0, 0x80, 0x80, 0x80, 0x80, 0x00, 0x01],
    ])
      expect(() => parseOnnxMetadata(Buffer.concat([makeOnnx(twice), Buffer.from(tail)]))).toThrow('not a protobuf message')
  })

  it('report control flow, also when nested', () => {
    const inner = (then: OnnxGraph): OnnxModel => ({
      ...twice,
      graph: {
        ...twice.graph,
        nodes: [{ type: 'If', inputs: ['c'], outputs: ['y'], attributes: { then_branch: then, else_branch: twice.graph } }],
      },
    })
    const facts = parseOnnxMetadata(makeOnnx(inner({ nodes: [{ type: 'Loop', attributes: { body: twice.graph } }] })))
    expect(facts.valueDependentRunTime).toBe(true)
    expect([...facts.opTypes].sort()).toEqual(['Add', 'If', 'Loop'])
    expect(facts.nodes).toBe(4)
  })

  it('report value-dependent work of known operators, and of unknown ones', () => {
    const of = (type: string, domain = '') => parseOnnxMetadata(makeOnnx({ graph: { nodes: [{ type, domain }] } })).valueDependentRunTime
    expect(['Range', 'Tile', 'ConstantOfShape', 'Gemm', 'ReduceSum'].map((type) => of(type))).toEqual([true, true, true, false, false])
    expect([of('TreeEnsembleClassifier', 'ai.onnx.ml'), of('BeamSearch', 'com.microsoft'), of('Add', 'ai.onnx')]).toEqual([
      false,
      true,
      false,
    ])
  })

  it('are refused of bytes that are no model, and of graphs without end', async () => {
    expect(() => parseOnnxMetadata(new Uint8Array(0))).toThrow('no ONNX graph')
    expect(() => parseOnnxMetadata(Buffer.from('not a model'))).toThrow('protobuf')
    const whole = await onnx('mlp')
    expect(() => parseOnnxMetadata(whole.subarray(0, whole.length - 3))).toThrow('ends inside a field')
    let graph = twice.graph
    for (let i = 0; i < 102; i++) graph = { nodes: [{ type: 'Loop', attributes: { body: graph } }] }
    expect(() => parseOnnxMetadata(makeOnnx({ graph }))).toThrow('deep')
  })

  it('match files that the runtime loads', async () => {
    const session = await InferenceSession.create(makeOnnx(twice))
    const { y } = await session.run({ x: new Tensor('float32', [1, 1], [1, 2]) })
    expect([...(y as Tensor).data]).toEqual([2, 3])
    await session.release()
    const sum = makeOnnx({
      graph: {
        nodes: [{ type: 'ReduceSum', inputs: ['x', 'axes'], outputs: ['y'], attributes: { keepdims: 1n } }],
        inputs: [{ name: 'x', type: 'float', shape: ['N', 2] }],
        outputs: [{ name: 'y', type: 'float', shape: ['N', 1] }],
        initializers: [{ name: 'axes', type: 'int64', dims: [1], raw: longs(1) }],
      },
    })
    await (await InferenceSession.create(sum)).release()
  })
})

describe('quantizesByRun', () => {
  const model = (nodes: readonly OnnxNode[]) =>
    makeOnnx({
      graph: {
        inputs: [{ name: 'features', type: 'float', shape: ['N', 3] }],
        outputs: [{ name: 'score', type: 'float', shape: ['N', 3] }],
        initializers: [],
        nodes,
      },
    })

  it('finds activations that are quantized by the range of a run, and nothing else', () => {
    const dynamic = model([
      { type: 'DynamicQuantizeLinear', inputs: ['features'], outputs: ['q', 'scale', 'zero'] },
      { type: 'DequantizeLinear', inputs: ['q', 'scale', 'zero'], outputs: ['score'] },
    ])
    expect(quantizesByRun(dynamic)).toBe(true)
    expect(quantizesByRun(model([{ type: 'Identity', inputs: ['features'], outputs: ['score'] }]))).toBe(false)
    expect(quantizesByRun(Buffer.from('no model'))).toBe(false)
  })
})
