import { z } from 'zod'
import type { RunResult } from './model-session.ts'
import type { TensorValue, Tensors } from './tensor-value.ts'
import { holds } from './tensor-value.ts'

// What processes that load models say is as foreign as the bytes that they have loaded, so it is checked before it is
// used.

const tensorInfos = z.array(
  z.strictObject({
    name: z.string(),
    type: z.string(),
    shape: z.array(z.union([z.number(), z.string()])),
    isTensor: z.boolean(),
  }),
)
const metadata = { inputs: tensorInfos, outputs: tensorInfos }
const ms = z.number().nonnegative()

export const inspectAnswerSchema = z.union([z.strictObject(metadata), z.strictObject({ error: z.string() })])

export const loadAnswerSchema = z.strictObject({ metadata: z.strictObject(metadata), loadMs: ms, valueDependentRunTime: z.boolean() })

export const profileSchema = z.strictObject({
  times: z.array(z.tuple([z.number().int().positive(), ms])),
  sharesRuns: z.boolean(),
  independent: z.boolean(),
})

export const replySchema = z.union([
  z.strictObject({ id: z.number(), answer: z.unknown() }),
  z.strictObject({ id: z.number(), error: z.string(), code: z.enum(['MODEL_INVALID', 'MODEL_FAILED', 'INTERNAL']) }),
])

/** Whether it is the result of a run that was asked for these outputs. By hand, as it is done for each run. */
export function isRunResult(answer: unknown, fetches: readonly string[]): answer is RunResult {
  if (typeof answer !== 'object' || answer === null || !('ms' in answer) || !('tensors' in answer)) return false
  const { ms: took, tensors } = answer
  if (typeof took !== 'number' || !(took >= 0) || typeof tensors !== 'object' || tensors === null) return false
  return Object.keys(tensors).length === fetches.length && fetches.every((name) => isTensor((tensors as Tensors)[name]))
}

function isTensor(value: TensorValue | undefined): boolean {
  if (typeof value !== 'object' || typeof value.type !== 'string' || !Array.isArray(value.dims)) return false
  let elements = 1
  for (const size of value.dims as unknown[]) {
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) return false
    elements *= size
  }
  return holds(value.type, value.data) && value.data.length === elements
}
