import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { LockstepError } from '../../../kernel/errors.ts'
import { parseJson } from '../../../kernel/values/parse-json.ts'
import { readContents, writeContents } from '../../../serving/protocols/grpc/typed-contents.ts'
import type { TensorData } from '../../../inference/tensor-value.ts'
import { readBinary, writeBinary } from '../../../serving/protocols/oip/binary-data.ts'
import type { Datatype } from '../../../serving/protocols/oip/datatype.ts'
import { readInferBody, writeInferBody } from '../../../serving/protocols/oip/infer-body.ts'
import { readJson, writeJson } from '../../../serving/protocols/oip/json-data.ts'
import { budget } from '../../budget.ts'

/** Of each datatype: its elements in JSON, and their bytes as the protocol has them, in hexadecimal. */
const golden: readonly (readonly [Datatype, string, string])[] = [
  ['BOOL', '[true,false,true]', '01 00 01'],
  ['UINT8', '[0,1,255]', '00 01 ff'],
  ['UINT16', '[1,256,65535]', '0100 0001 ffff'],
  ['UINT32', '[1,16909060,4294967295]', '01000000 04030201 ffffffff'],
  ['UINT64', '[1,9007199254740993,18446744073709551615]', '0100000000000000 0100000000002000 ffffffffffffffff'],
  ['INT8', '[-128,-1,127]', '80 ff 7f'],
  ['INT16', '[-32768,-1,258]', '0080 ffff 0201'],
  ['INT32', '[-2147483648,-1,16909060]', '00000080 ffffffff 04030201'],
  ['INT64', '[-9223372036854775808,-1,9223372036854775807]', '0000000000000080 ffffffffffffffff ffffffffffffff7f'],
  ['FP32', '[1,-2.5,0.15625]', '0000803f 000020c0 0000203e'],
  ['FP64', '[1,-2.5,0.1]', '000000000000f03f 00000000000004c0 9a9999999999b93f'],
  ['BYTES', '["a","","é🛬"]', '01000000 61 00000000 06000000 c3a9f09f9bac'],
]

const bytesOf = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex')

/** The bytes where they begin at that offset of their buffer. */
function placed(bytes: Uint8Array, offset: number): Uint8Array {
  const whole = new Uint8Array(bytes.byteLength + offset)
  whole.set(bytes, offset)
  return whole.subarray(offset)
}

const failure = (work: () => unknown): string => {
  try {
    work()
  } catch (error) {
    return `${(error as LockstepError).code}: ${(error as Error).message}`
  }
  return 'nothing was thrown'
}

describe('the codec of tensors', () => {
  it.each(golden)('has %s as in the protocol, in JSON, in binary and typed', (datatype, json, hex) => {
    const data = readJson(datatype, [3], parseJson(json), 'x')
    expect(Buffer.from(writeBinary(data)).toString('hex')).toBe(bytesOf(hex).toString('hex'))
    for (const offset of [0, 1, 4, 8]) {
      expect(writeJson(datatype, readBinary(datatype, [3], placed(bytesOf(hex), offset), 'x'), 'x')).toEqual({ json, nulls: 0 })
    }
    expect(readContents(datatype, [3], writeContents(datatype, data), 'x')).toEqual(data)
  })

  it('reads aligned numbers in place', () => {
    const bytes = placed(bytesOf('0000803f 000020c0'), 8)
    const data = readBinary('FP32', [2], bytes, 'x') as Float32Array
    expect(data.buffer).toBe(bytes.buffer)
    expect((readBinary('FP32', [2], placed(bytes, 2), 'x') as Float32Array).buffer).not.toBe(bytes.buffer)
    expect(writeBinary(data).buffer).toBe(bytes.buffer)
  })

  it('reads nested data as flat, and refuses nesting that differs from the shape', () => {
    expect(readJson('INT32', [2, 1, 2], [[[1, 2]], [[3, 4]]], 'x')).toEqual(Int32Array.of(1, 2, 3, 4))
    expect(readJson('INT32', [2, 1, 2], [1, 2, 3, 4], 'x')).toEqual(Int32Array.of(1, 2, 3, 4))
    expect(failure(() => readJson('INT32', [2, 2], [[1, 2, 3], [4]], 'x'))).toMatch(/INVALID_REQUEST: .*"x" has an array of 3 where/)
    expect(failure(() => readJson('INT32', [2, 2], [[1, 2], 3], 'x'))).toMatch(/has 3 where/)
    expect(
      failure(() =>
        readJson(
          'INT32',
          [4],
          [
            [1, 2],
            [3, 4],
          ],
          'x',
        ),
      ),
    ).toMatch(/an array of 2/)
    expect(readJson('FP32', [], [7], 'x')).toEqual(Float32Array.of(7))
  })

  it.each([
    ['UINT8', 256],
    ['UINT8', -1],
    ['INT8', 128],
    ['UINT16', 65536],
    ['INT16', -32769],
    ['UINT32', 4294967296],
    ['INT32', 2147483648],
    ['INT32', 1.5],
    ['INT64', 1e300],
    ['UINT64', -1n],
    ['UINT64', 2n ** 64n],
    ['FP32', 1e39],
    ['FP64', '1'],
    ['BOOL', 'true'],
    ['BYTES', null],
    ['BYTES', '\ud800'],
    ['INT32', null],
  ] as const)('refuses as %s the element %s', (datatype, element) => {
    expect(failure(() => readJson(datatype, [1], [element], 'x'))).toMatch(/^INVALID_REQUEST: The tensor "x" has the element/)
  })

  it('writes values that JSON lacks as null, and counts them', () => {
    expect(writeJson('FP64', Float64Array.of(1, Number.NaN, Number.POSITIVE_INFINITY), 'x')).toEqual({ json: '[1,null,null]', nulls: 2 })
    expect(readJson('FP32', [2], [null, 1], 'x')).toEqual(Float32Array.of(Number.NaN, 1))
  })

  it('supports FP16 in binary only', () => {
    expect(readBinary('FP16', [2], bytesOf('003c 00c0'), 'x')).toEqual(Uint16Array.of(0x3c00, 0xc000))
    expect(failure(() => readJson('FP16', [1], [1], 'x'))).toMatch(/binary/)
    expect(failure(() => writeJson('FP16', Uint16Array.of(0x3c00), 'x'))).toMatch(/binary/)
    expect(failure(() => readContents('FP16', [1], { fp32_contents: [1] }, 'x'))).toMatch(/raw_input_contents/)
    expect(writeContents('FP16', Uint16Array.of(0x3c00))).toBeNull()
  })

  it('refuses BYTES that are cut, too many or no text', () => {
    for (const hex of ['', '010000', '01000000', '0200000061', 'ffffffff61', '01000000ff', '000000000000'])
      expect(failure(() => readBinary('BYTES', [1], bytesOf(hex), 'x'))).toMatch(/^INVALID_REQUEST/)
    for (const shape of [[2 ** 40], Array<number>(32).fill(2 ** 52), [...Array<number>(31).fill(2 ** 52), 0]])
      expect(failure(() => readBinary('BYTES', shape, bytesOf('01000000'), 'x'))).toMatch(/^INVALID_REQUEST/)
  })

  it('refuses typed contents of another field or out of range', () => {
    expect(failure(() => readContents('FP32', [1], { fp64_contents: [1] }, 'x'))).toMatch(
      /has fp64_contents; send its elements as fp32_contents/,
    )
    expect(failure(() => readContents('INT8', [1], { int_contents: [200] }, 'x'))).toMatch(/200, which is not INT8/)
    expect(failure(() => readContents('UINT16', [1], { uint_contents: [65536] }, 'x'))).toMatch(/not UINT16/)
    expect(failure(() => readContents('BYTES', [1], { bytes_contents: [Buffer.of(0xff)] }, 'x'))).toMatch(/UTF-8/)
    expect(failure(() => readContents('FP32', [2], null, 'x'))).toMatch(/0 elements/)
  })

  it('returns the elements that it was given, for any values', () => {
    const text = fc.string({ unit: 'grapheme' })
    const cases: readonly (readonly [Datatype, fc.Arbitrary<TensorData>])[] = [
      ['FP32', fc.float32Array({ noNaN: true, noDefaultInfinity: true })],
      ['FP64', fc.float64Array({ noNaN: true, noDefaultInfinity: true })],
      ['INT64', fc.bigInt64Array()],
      ['UINT64', fc.bigUint64Array()],
      ['INT16', fc.int16Array()],
      ['BYTES', fc.array(text)],
    ]
    for (const [datatype, arbitrary] of cases) {
      fc.assert(
        fc.property(arbitrary, fc.nat(9), (data, offset) => {
          const shape = [data.length]
          expect(readBinary(datatype, shape, placed(writeBinary(data), offset), 'x')).toEqual(data)
          expect(readContents(datatype, shape, writeContents(datatype, data), 'x')).toEqual(data)
          // JSON has one zero
          const plain = datatype.startsWith('FP') ? (data as Float64Array).map((element) => element + 0) : data
          expect(readJson(datatype, shape, parseJson(writeJson(datatype, plain, 'x').json), 'x')).toEqual(plain)
        }),
        { numRuns: budget(50) },
      )
    }
  })
})

describe('the body of an infer call', () => {
  const header = (inputs: unknown, more = {}) => Buffer.from(JSON.stringify({ inputs, ...more }))
  const binary = (name: string, size: number) => ({ name, shape: [1], datatype: 'FP32', parameters: { binary_data_size: size } })

  it('takes inputs in binary between others, in their order', () => {
    const json = header([binary('a', 4), { name: 'b', shape: [1], datatype: 'FP32', data: [3] }, binary('c', 4)], { id: 'x' })
    const { inputs, id } = readInferBody(Buffer.concat([json, bytesOf('0000803f 000020c0')]), json.length)
    expect(inputs.map(({ name, data }) => [name, ...data])).toEqual([
      ['a', 1],
      ['b', 3],
      ['c', -2.5],
    ])
    expect(id).toBe('x')
  })

  it.each([
    ['bytes that nobody asked for', header([binary('a', 4)]), '0000803f00', 'belong to no input'],
    ['bytes that are missing', header([binary('a', 4)]), '0000', 'are left'],
    ['a size that is none', header([{ ...binary('a', 4), parameters: { binary_data_size: 'four' } }]), '', 'not a number of bytes'],
    ['data twice', header([{ ...binary('a', 4), data: [1] }]), '0000803f', 'both'],
    ['no data', header([{ name: 'a', shape: [1], datatype: 'FP32' }]), '', 'no "data"'],
    ['a shape below zero', header([{ name: 'a', shape: [-1], datatype: 'FP32', data: [1] }]), '', 'shape'],
    ['shared memory', header([{ ...binary('a', 4), parameters: { shared_memory_region: 'r' } }]), '', 'UNSUPPORTED'],
    [
      'too many inputs',
      header(Array.from({ length: 1001 }, () => ({ name: 'a', shape: [1], datatype: 'FP32', data: [1] }))),
      '',
      '"inputs"',
    ],
    ['too many outputs', header([], { outputs: Array.from({ length: 1001 }, () => ({ name: 'a' })) }), '', '"outputs"'],
    ['a shape of too many sizes', header([{ name: 'a', shape: Array(33).fill(1), datatype: 'FP32', data: [1] }]), '', 'shape'],
    ['half of JSON', Buffer.from('{"inputs": ['), '', 'not JSON'],
    ['NaN in JSON', Buffer.from('{"inputs": [{"name":"a","shape":[1],"datatype":"FP32","data":[NaN]}]}'), '', 'in binary'],
    ['no object', Buffer.from('[]'), '', 'not a valid infer request'],
  ])('refuses %s', (_, json, hex, says) => {
    expect(failure(() => readInferBody(Buffer.concat([json, bytesOf(hex)]), json.length))).toContain(says)
  })

  it('refuses a header that is longer than the body, and binary inputs without it', () => {
    expect(failure(() => readInferBody(Buffer.from('{}'), 3))).toContain('Inference-Header-Content-Length')
    expect(failure(() => readInferBody(header([binary('a', 4)]), null))).toContain('Inference-Header-Content-Length')
  })

  it('answers as in the protocol, byte for byte', () => {
    const answer = {
      model: 'm',
      version: 3,
      id: 'q',
      parameters: { as_of: 'now' },
      outputs: [
        { name: 'a', datatype: 'FP32', shape: [1, 2], data: Float32Array.of(1, Number.NaN) },
        { name: 'b', datatype: 'INT64', shape: [1], data: BigInt64Array.of(9007199254740993n) },
      ],
    } as const
    const head = '{"model_name":"m","model_version":"3","id":"q","parameters":{"as_of":"now"},"outputs":['
    expect(writeInferBody(answer, () => false)).toEqual({
      body: `${head}{"name":"a","shape":[1,2],"datatype":"FP32","parameters":{"null_elements":1},"data":[1,null]},{"name":"b","shape":[1],"datatype":"INT64","data":[9007199254740993]}]}`,
      headerLength: null,
    })
    const { body, headerLength } = writeInferBody(answer, (name) => name === 'b')
    const json = `${head}{"name":"a","shape":[1,2],"datatype":"FP32","parameters":{"null_elements":1},"data":[1,null]},{"name":"b","shape":[1],"datatype":"INT64","parameters":{"binary_data_size":8}}]}`
    expect(headerLength).toBe(json.length)
    expect(Buffer.from(body as Uint8Array).toString('latin1')).toBe(json + bytesOf('0100000000002000').toString('latin1'))
  })

  it('refuses all other bodies, each with its own error', () => {
    const tensor = fc.record({
      name: fc.string(),
      shape: fc.array(fc.oneof(fc.nat(3), fc.maxSafeInteger())),
      datatype: fc.oneof(fc.constantFrom(...golden.map(([datatype]) => datatype), 'FP16'), fc.string()),
      parameters: fc.record({ binary_data_size: fc.oneof(fc.nat(20), fc.jsonValue()) }, { requiredKeys: [] }),
      data: fc.jsonValue(),
    })
    const json = fc.oneof(fc.record({ inputs: fc.array(tensor) }), fc.jsonValue()).map((value) => Buffer.from(JSON.stringify(value)))
    fc.assert(
      fc.property(json, fc.uint8Array({ maxLength: 40 }), fc.oneof(fc.constant(null), fc.nat(60)), (head, rest, length) => {
        const said = failure(() => readInferBody(Buffer.concat([head, rest]), length ?? head.length))
        expect(said).toMatch(/^(nothing was thrown|INVALID_REQUEST: |UNSUPPORTED: )/)
      }),
      { numRuns: budget(500) },
    )
  })

  it('selects the outputs to return in binary', () => {
    const inputs = [{ name: 'a', shape: [1], datatype: 'FP32', data: [1] }]
    const outputs = [{ name: 'x' }, { name: 'y', parameters: { binary_data: false } }]
    const asked = readInferBody(header(inputs, { outputs, parameters: { binary_data_output: true } }), null)
    expect(['x', 'y', 'z'].map(asked.isBinary)).toEqual([true, false, true])
    expect(readInferBody(header(inputs, { outputs: [] }), null).outputs).toBeUndefined()
  })
})
