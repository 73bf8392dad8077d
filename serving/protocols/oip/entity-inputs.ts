import { LockstepError } from '../../../kernel/errors.ts'
import type { ServicePlan } from '../../../kernel/service-plan.ts'
import type { Value } from '../../../kernel/values/value-type.ts'
import type { Column } from '../../../kernel/values/value-type.ts'
import { maxEntities } from '../../features/request-schema.ts'
import type { TensorData } from '../../../inference/tensor-value.ts'
import type { InferTensor } from './infer-tensor.ts'
import { tensorError } from './infer-tensor.ts'

/** The columns that a service needs for an entity: key columns and request values. */
export function entityColumns(service: ServicePlan): readonly Column[] {
  return [...new Map([...service.keys, ...service.request].map((column) => [column.name, column])).values()]
}

/**
 * Entity objects, as `POST /v1/predict` takes them, from tensors that are named after the service's key columns and
 * request values: of shape [N] or [N, 1], a vector [N, length].
 *
 * @throws LockstepError `INVALID_REQUEST` where the shapes do not fit; what the elements are is for the parser of
 *   entities to check
 */
export function entitiesOf(service: ServicePlan, inputs: readonly InferTensor[]): Readonly<Record<string, unknown>>[] {
  const columns = new Map(entityColumns(service).map((column) => [column.name, column]))
  const rows = inputs[0]?.shape[0] ?? 0
  if (rows < 1 || rows > maxEntities) {
    throw new LockstepError('INVALID_REQUEST', `The inputs name ${rows} entities; send 1 to ${maxEntities} in one request.`, {
      details: { rows },
    })
  }
  const entities = Array.from({ length: rows }, (): Record<string, unknown> => ({}))
  for (const { name, shape, data, datatype } of inputs) {
    const type = columns.get(name)?.type
    const width = type?.kind === 'vector' ? type.length : 1
    const fits = (shape.length === 1 && width === 1) || (shape.length === 2 && shape[1] === width)
    if (!fits || shape[0] !== rows) {
      const wanted = type?.kind === 'vector' ? `[${rows}, ${width}]` : `[${rows}] or [${rows}, 1]`
      throw tensorError(name, `has shape [${shape.join(', ')}]; it must be ${wanted}: a value for each entity`)
    }
    for (let row = 0; row < rows; row++) {
      const value = type?.kind === 'vector' ? Array.from(data.slice(row * width, (row + 1) * width) as Float32Array) : element(data, row)
      Object.defineProperty(entities[row], name, { value: datatype === 'BOOL' ? value === 1 : value, enumerable: true })
    }
  }
  return entities
}

/** As JSON has it: an integer that a number holds is a number. */
function element(data: TensorData, row: number): unknown {
  const value = data[row]
  return typeof value === 'bigint' && Number.isSafeInteger(Number(value)) ? Number(value) : value
}

/** The model's declared outputs of each entity, as tensors: [N], a vector [N, length]. */
export function outputTensors(columns: readonly Column[], predictions: readonly (readonly Value[])[]): InferTensor[] {
  return columns.map(({ name, type }, o) => {
    const rows = predictions.length
    const values = predictions.map((prediction) => prediction[o] as Value)
    const shape = [rows]
    switch (type.kind) {
      case 'float32':
        return { name, datatype: 'FP32', shape, data: Float32Array.from(values as number[]) }
      case 'float64':
        return { name, datatype: 'FP64', shape, data: Float64Array.from(values as number[]) }
      case 'int32':
        return { name, datatype: 'INT32', shape, data: Int32Array.from(values as number[]) }
      case 'int64':
        return { name, datatype: 'INT64', shape, data: BigInt64Array.from(values as bigint[]) }
      case 'timestamp':
        return { name, datatype: 'INT64', shape, data: BigInt64Array.from(values as number[], BigInt) }
      case 'bool':
        return { name, datatype: 'BOOL', shape, data: Uint8Array.from(values as boolean[], Number) }
      case 'string':
        return { name, datatype: 'BYTES', shape, data: values as string[] }
      case 'vector': {
        const data = new Float32Array(rows * type.length)
        for (const [row, value] of values.entries()) data.set(value as Float32Array, row * type.length)
        return { name, datatype: 'FP32', shape: [rows, type.length], data }
      }
      default:
        return type satisfies never
    }
  })
}
