import { LockstepError } from '../../../kernel/errors.ts'
import type { InferTensor } from './infer-tensor.ts'

/** What a parameter may be. */
export type Parameter = string | number | bigint | boolean
export type Parameters = Readonly<Record<string, Parameter>>

/** A call of a model, whichever way it came. */
export interface InferRequest {
  readonly model: string
  /** As the caller names it: a number, or an alias. Absent: what the model answers by itself. */
  readonly version?: string
  readonly id?: string
  readonly parameters: Parameters
  readonly inputs: readonly InferTensor[]
  /** Names of the outputs that are asked for. Absent: all. */
  readonly outputs?: readonly string[]
}

/** How many rows a call asks for. */
export function rowsOf({ inputs }: Pick<InferRequest, 'inputs'>): number {
  return inputs[0]?.shape[0] ?? 0
}

export interface InferAnswer {
  readonly model: string
  readonly version: number
  readonly id?: string
  /** Absent where there is nothing to say. */
  readonly parameters?: Parameters
  readonly outputs: readonly InferTensor[]
}

/** Parts of Triton's protocol that are not built, by the parameter that asks for them: passing over one would answer something else than was asked for. */
const notBuilt: Readonly<Record<string, string>> = {
  classification: 'the classification of outputs',
  sequence_id: 'sequences of requests',
  shared_memory_region: 'tensors in shared memory',
}

/**
 * Refuses parameters of a request or of one of its tensors that ask for what is not built; others that are not known are passed over, as the protocol has it.
 *
 * @throws LockstepError `UNSUPPORTED`
 */
export function refuseUnsupported(parameters: Parameters): void {
  for (const [name, what] of Object.entries(notBuilt)) {
    const value = Object.hasOwn(parameters, name) ? parameters[name] : undefined
    if (value === undefined || value === 0 || value === 0n || value === '' || value === false) continue
    throw new LockstepError('UNSUPPORTED', `The parameter "${name}" needs ${what}, which is not supported; remove it.`, {
      details: { parameter: name },
    })
  }
}

/** A parameter that is a whole number from 0, which it is where it is absent. @throws LockstepError `INVALID_REQUEST` */
export function wholeParameter(name: string, parameters: Parameters): number {
  const value = Object.hasOwn(parameters, name) ? parameters[name] : 0
  const number = typeof value === 'number' || typeof value === 'bigint' ? Number(value) : Number.NaN
  if (Number.isInteger(number) && number >= 0) return number
  throw new LockstepError('INVALID_REQUEST', `The parameter "${name}" is "${value}"; it must be a whole number of 0 or more.`, {
    details: { parameter: name },
  })
}

/** A parameter that is a text. @throws LockstepError `INVALID_REQUEST` */
export function textParameter(name: string, parameters: Parameters): string | undefined {
  const value = Object.hasOwn(parameters, name) ? parameters[name] : undefined
  if (value === undefined || typeof value === 'string') return value
  throw new LockstepError('INVALID_REQUEST', `The parameter "${name}" is ${value}; it must be a string.`, { details: { parameter: name } })
}
