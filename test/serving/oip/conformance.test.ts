import { status } from '@grpc/grpc-js'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { budget } from '../../budget.ts'
import { cases } from './cases.ts'
import type { Answered, GrpcCaller, Tensor, Transport } from './transports.ts'
import { grpc, grpcOf, openGrpc, restBinary, restJson } from './transports.ts'
import type { OipWorld } from './world.ts'
import { createOipWorld } from './world.ts'

let world: OipWorld
let caller: GrpcCaller
let transports: Readonly<Record<'json' | 'binary' | 'typed' | 'raw', Transport>>

beforeAll(async () => {
  world = await createOipWorld()
  caller = openGrpc(world.grpc)
  transports = { json: restJson(world.url), binary: restBinary(world.url), typed: grpc(caller, false), raw: grpc(caller, true) }
})
afterAll(async () => {
  caller?.[Symbol.dispose]()
  await world?.close()
})

describe.each(['json', 'binary', 'typed', 'raw'] as const)('infer, %s', (kind) => {
  const sayable = cases.filter(({ only }) => only?.includes(kind) ?? true)

  it.each(sayable.map((each) => [each.refused === undefined ? 'answers' : 'refuses', each.name, each] as const))(
    '%s %s',
    async (_, __, each) => {
      const { call } = each
      const answer = await transports[kind].call(call)
      if (each.refused !== undefined) {
        const [status, says] = each.refused
        expect(answer).toEqual({ status: transports[kind].kind === 'rest' ? status : grpcOf[status], error: expect.stringContaining(says) })
        return
      }
      const { outputs, ...rest } = answer as Exclude<Answered, { error: string }>
      expect({ outputs: outputs.map(plain) }).toEqual({ outputs: each.outputs?.map(plain) })
      expect(rest).toMatchObject({
        model: call.model,
        version: each.version ?? expect.any(String),
        id: call.id ?? '',
        parameters: each.parameters ?? {},
      })
    },
  )
})

describe('bytes that are no call', () => {
  it.each([
    ['is no protobuf message', '0b0b', 'not one of "ModelInfer"'],
    ['ends inside a text', '0a0561', 'not one of "ModelInfer"'],
    ['has more empty tensors than fit', '2a00'.repeat(4001), 'The call has too many fields'],
    ['has a tensor of many parameters', `2aa23f${'2200'.repeat(4049)}`, 'A tensor has too many fields'],
    ['has a tensor of many dimensions', `2a84031a8103${'01'.repeat(385)}`, 'A tensor has too many fields'],
  ])('are refused: a message that %s', async (_, hex, says) => {
    await expect(caller.send('ModelInfer', Buffer.from(hex, 'hex'))).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining(says),
    })
  })

  it('fail neither gRPC nor REST', async () => {
    const inputs = [{ name: 'features', datatype: 'FP32', shape: [1, 3] }]
    const raw = Buffer.from('0000803f0000004000004040', 'hex')
    const message = caller.encode('ModelInfer', { model_name: 'echo', inputs, raw_input_contents: [raw] })
    const head = JSON.stringify({ inputs: [{ ...inputs[0], parameters: { binary_data_size: raw.length } }] })
    const binary = Buffer.concat([Buffer.from(head), raw])
    const change = fc.tuple(fc.nat(), fc.uint8Array({ maxLength: 6 }), fc.boolean())
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), fc.integer({ min: -2, max: 2 }), async (changes, off) => {
        const code = await caller.send('ModelInfer', changed(message, changes)).then(
          () => status.OK,
          (error: { readonly code: status }) => error.code,
        )
        expect([status.OK, status.INVALID_ARGUMENT, status.NOT_FOUND, status.UNIMPLEMENTED]).toContain(code)
        const response = await fetch(`${world.url}/v2/models/echo/infer`, {
          method: 'POST',
          headers: { 'inference-header-content-length': String(head.length + off), 'content-type': 'application/octet-stream' },
          body: new Uint8Array(changed(binary, changes)),
        })
        expect([200, 400, 404, 501]).toContain(response.status)
      }),
      { numRuns: budget(200), endOnFailure: true },
    )
  })
})

/** Bytes with others at some places, in place of what was there or before it. */
function changed(bytes: Buffer, changes: readonly (readonly [at: number, put: Uint8Array, isAdded: boolean])[]): Buffer {
  return changes.reduce((all, [at, put, isAdded]) => {
    const from = at % (all.length + 1)
    return Buffer.concat([all.subarray(0, from), put, all.subarray(isAdded ? from : from + put.length)])
  }, bytes)
}

it('is a suite of 120 cases at least', () => {
  const sayable = (['json', 'binary', 'typed', 'raw'] as const).flatMap((kind) => cases.filter(({ only }) => only?.includes(kind) ?? true))
  expect(sayable.length).toBeGreaterThanOrEqual(120)
})

/** NaN as null, and integers as one type, whatever carried them. */
function plain({ data, ...tensor }: Tensor): unknown {
  return {
    ...tensor,
    data: data.map((element) =>
      typeof element === 'number' && Number.isNaN(element) ? null : tensor.datatype.endsWith('INT64') ? String(element) : element,
    ),
  }
}
