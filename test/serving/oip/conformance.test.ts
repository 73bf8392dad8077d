import { afterAll, beforeAll, describe, expect, it } from 'vitest'
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
