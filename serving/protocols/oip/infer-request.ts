import { LockstepError } from '../../../kernel/errors.ts'
import type { InferTensor } from './infer-tensor.ts'

/** The value of a parameter. */
export type Parameter = string | number | bigint | boolean
export type Parameters = Readonly<Record<string, Parameter>>

/** A call of a model, by REST or gRPC. */
export interface InferRequest {
  readonly model: string
  /** A number or an alias. Absent: the version that serves requests by default. */
  readonly version?: string
  readonly id?: string
  readonly parameters: Parameters
  readonly inputs: readonly InferTensor[]
  /** Names of the wanted outputs. Absent: all. */
  readonly outputs?: readonly string[]
}

/** How many rows a call asks for. */
export function rowCount({ inputs }: Pick<InferRequest, 'inputs'>): number {
  return inputs[0]?.shape[0] ?? 0
}

export interface InferAnswer {
  readonly model: string
  /** null: several versions answered; the parameters name them. */
  readonly version: number | null
  readonly id?: string
  /** Absent: none. */
  readonly parameters?: Parameters
  readonly outputs: readonly InferTensor[]
}

/**
 * Parts of Triton's protocol that are not supported, by their parameter. To ignore one would give another answer than
 * the caller wants.
 */
const unsupported: Readonly<Record<string, string>> = {
  classification: 'the classification of outputs',
  sequence_id: 'sequences of requests',
  shared_memory_region: 'tensors in shared memory',
}

/**
 * Refuses parameters of a request, or of one of its tensors, that need an unsupported part. Other unknown parameters
 * are ignored, as the protocol says.
 *
 * @throws LockstepError `UNSUPPORTED`
 */
export function refuseUnsupported(parameters: Parameters): void {
  for (const [name, what] of Object.entries(unsupported)) {
    const value = Object.hasOwn(parameters, name) ? parameters[name] : undefined
    if (value === undefined || value === 0 || value === 0n || value === '' || value === false) continue
    throw new LockstepError('UNSUPPORTED', `The parameter "${name}" needs ${what}, which is not supported; remove it.`, {
      details: { parameter: name },
    })
  }
}

/** A parameter that is an integer from 0. Absent: 0. @throws LockstepError `INVALID_REQUEST` */
export function integerParameter(name: string, parameters: Parameters): number {
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
