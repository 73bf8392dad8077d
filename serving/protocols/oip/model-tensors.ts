import type { TensorInfo } from '../../../registry/models/model-contract.ts'
import { fixedSize } from '../../../registry/models/model-contract.ts'
import { bindModel } from '../../../registry/models/model-binding.ts'
import { memoizeWeak } from '../../../kernel/memoize-weak.ts'
import type { ServedModel } from '../../models/load-version.ts'
import type { Datatype } from './datatype.ts'
import { datatypeOf } from './datatype.ts'

/** A tensor as the protocol describes it: -1 is a size that is free. */
export interface TensorMetadata {
  readonly name: string
  readonly datatype: Datatype
  readonly shape: readonly number[]
}

/** The model's inputs: what the file leaves free beside the rows is as its feature service makes it. */
export const inputsOf = memoizeWeak(({ version, service }: ServedModel): readonly TensorMetadata[] => {
  const { inputs } = bindModel(service, version.contract, { name: version.model, service: version.service, output: [] })
  const rowShapes = new Map(inputs.map((input) => [input.name, input.rowShape]))
  return version.contract.inputs.flatMap((input) => {
    const [described] = describe(input)
    return described === undefined ? [] : [{ ...described, shape: [described.shape[0] ?? -1, ...(rowShapes.get(input.name) ?? [])] }]
  })
})

/** The outputs of the file, declared or not, without those that the protocol has no datatype for. */
export const outputsOf = memoizeWeak(({ version }: ServedModel): readonly TensorMetadata[] => version.contract.outputs.flatMap(describe))

function describe({ name, type, shape, isTensor }: TensorInfo): TensorMetadata[] {
  const datatype = isTensor ? datatypeOf(type) : null
  return datatype === null ? [] : [{ name, datatype, shape: shape.map((size) => fixedSize(size) ?? -1) }]
}
