import { LockstepError } from '../kernel/errors.ts'
import type { Value } from '../kernel/values/value-type.ts'
import { canonical, typeName } from '../kernel/values/value-type.ts'
import type { OutputBinding } from '../registry/models/model-binding.ts'
import { isFloatElement } from '../registry/models/model-binding.ts'
import type { TensorValue } from './tensor-value.ts'
import { numbersOf } from './tensor-value.ts'

/** Reads one output of a run: one value per row, in the output's declared type. */
export type OutputReader = (tensor: TensorValue, rows: number) => Value[]

/**
 * Compiles the reader of one declared output. A scalar is the row's only element. If a classifier returns the
 * probabilities of two classes, it is the second element. A vector is the complete row.
 *
 * @throws LockstepError (the reader) `MODEL_FAILED` if the tensor does not have one value per row
 */
export function createOutputReader(output: OutputBinding): OutputReader {
  const { name, type } = output
  return (tensor, rows) => {
    const data = numbersOf(tensor)
    const width = data.length / rows
    const wanted = type.kind === 'vector' ? [type.length] : isFloatElement(output.elementType) ? [1, 2] : [1]
    if (!wanted.includes(width)) {
      throw new LockstepError(
        'MODEL_FAILED',
        `The model's output "${name}" came back with shape [${tensor.dims.join(', ')}] for ${rows} rows, which is not ${typeName(type)} for each row. Declare the output with the type that the model has.`,
        { details: { output: name, shape: tensor.dims, rows } },
      )
    }
    const values = new Array<Value>(rows)
    if (type.kind === 'vector') {
      const floats = data as Float32Array | Float64Array
      for (let r = 0; r < rows; r++) values[r] = canonical(type, Float32Array.from(floats.subarray(r * width, (r + 1) * width)))
    } else {
      for (let r = 0; r < rows; r++) values[r] = scalar(data[r * width + width - 1])
    }
    return values
  }

  function scalar(element: unknown): Value {
    switch (type.kind) {
      case 'bool':
        return element === true || element === 1
      case 'int64':
        return BigInt(element as bigint | number)
      case 'string':
        return String(element)
      default:
        return canonical(type, Number(element))
    }
  }
}
