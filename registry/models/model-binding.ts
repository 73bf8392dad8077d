import { LockstepError } from '../../kernel/errors.ts'
import type { ModelSpec } from '../../kernel/specs/service-spec.ts'
import type { ServiceFeature, ServicePlan } from '../../kernel/service-plan.ts'
import type { Column, ColumnType, ValueType } from '../../kernel/values/value-type.ts'
import { typeName } from '../../kernel/values/value-type.ts'
import type { ModelContract, TensorInfo } from './model-contract.ts'
import { fixedSize, tensorText } from './model-contract.ts'
import { didYouMean } from '../../kernel/did-you-mean.ts'

/**
 * The mapping from a service's features to a model's input tensors, and from its output tensors to predictions. Plain
 * data for the tensor writer and the output reader.
 *
 * For N rows, an input is one buffer of `N * width` elements of its `type` in row-major order; its dims are `[N,
 * ...rowShape]`. Within a row each column writes `width` elements at `offset`. A missing value (null) is NaN in float
 * tensors, in each element of a vector. In other tensors the binding guarantees that no value is missing.
 */
export interface ModelBinding {
  /**
   * `packed`: one float tensor [N, F] of the service's numeric features in service order. `named`: one tensor for each
   * feature, by name, or for the features that the model declares for it.
   */
  readonly layout: 'packed' | 'named'
  readonly inputs: readonly InputBinding[]
  readonly outputs: readonly OutputBinding[]
  /** The maximum rows of one run: null for any number, 1 if the model's first axis is fixed at 1. */
  readonly maxRows: 1 | null
  /** Features of the service without a model input. They are read and returned, but not passed to the model. */
  readonly unused: readonly string[]
}

export interface InputBinding {
  readonly name: string
  readonly type: ElementType
  /** Elements of one row. */
  readonly width: number
  /** The dims after the first: `[]` for [N], `[1]` for [N, 1], `[F]` for [N, F], `[3, 4]` for [N, 3, 4]. */
  readonly rowShape: readonly number[]
  readonly columns: readonly InputColumn[]
}

/**
 * One feature's place in a row of a tensor. Into float tensors: int32, int64, float32, float64 by value (int64 by way
 * of float64, as what read it from a file of numbers has it, rounded to the nearest each time), bool as 0 or 1, vector
 * by element. Into int64: int32, int64, bool, timestamp as epoch microseconds. Into int32: int32, bool. Into bool and
 * string: their own.
 */
export interface InputColumn {
  /** Index into the service's `features`. */
  readonly feature: number
  readonly name: string
  readonly type: ValueType
  readonly offset: number
  readonly width: number
}

/**
 * One declared output. The tensor is [N], or [N, K]. A scalar is element 0 of [N] and [N, 1], and element 1 of [N, 2],
 * which is how classifiers write the probabilities of two classes: the answer is that of the second (positive) one. A
 * vector(K) is the row of K elements, in row-major order if it has several axes.
 */
export interface OutputBinding {
  readonly name: string
  readonly type: ColumnType
  readonly elementType: ElementType
  /** The elements of one row if the model states them; null: the returned tensor decides. */
  readonly width: number | null
}

export type FloatElement = 'float16' | 'float32' | 'float64'
export type ElementType = FloatElement | 'int32' | 'int64' | 'bool' | 'string'

export function isFloatElement(type: string): type is FloatElement {
  return type === 'float16' || type === 'float32' || type === 'float64'
}

const takes: Readonly<Record<ElementType, readonly ValueType['kind'][]>> = {
  float16: ['float32', 'float64', 'int32', 'int64', 'bool', 'vector'],
  float32: ['float32', 'float64', 'int32', 'int64', 'bool', 'vector'],
  float64: ['float64', 'float32', 'int32', 'int64', 'bool', 'vector'],
  int32: ['int32', 'bool'],
  int64: ['int64', 'int32', 'bool', 'timestamp'],
  bool: ['bool'],
  string: ['string'],
}

const answers: Readonly<Record<ElementType, readonly ValueType['kind'][]>> = {
  float16: ['float32', 'float64', 'vector'],
  float32: ['float32', 'float64', 'vector'],
  float64: ['float64', 'vector'],
  int32: ['int32', 'int64'],
  int64: ['int64'],
  bool: ['bool'],
  string: ['string'],
}

/**
 * Maps the service's features to the model's inputs and selects the returned outputs.
 *
 * @throws LockstepError `MODEL_INVALID` if an input or output is not a tensor; `MODEL_MISMATCH` if names, counts, types
 *   or shapes do not fit; the message states both sides
 */
export function bindModel(service: ServicePlan, contract: ModelContract, model: ModelSpec): ModelBinding {
  for (const [side, tensors] of [
    ['input', contract.inputs],
    ['output', contract.outputs],
  ] as const) {
    for (const tensor of tensors) if (!tensor.isTensor) throw noTensor(model.name, side, tensor)
  }
  const [only] = contract.inputs
  const byName = new Map(service.features.map((feature, index) => [feature.name, index]))
  const named = contract.inputs.length !== 1 || (only !== undefined && (only.features !== undefined || byName.has(only.name)))
  const inputs = named || only === undefined ? namedInputs(service, contract, model, byName) : [packedInput(service, only, model)]
  const sizeOf = ({ shape }: TensorInfo) => fixedSize(shape[0])
  const fixed = contract.inputs.filter((input) => sizeOf(input) !== null)
  const other = fixed.find((input) => sizeOf(input) !== 1)
  if (other !== undefined) {
    const reason = `the first axis of its input "${other.name}" is fixed at ${sizeOf(other)} rows`
    throw mismatch(model, service, contract, reason, 'Export it with a free first axis (or 1).')
  }
  const fed = new Set(inputs.flatMap((input) => input.columns.map((column) => column.feature)))
  return {
    layout: named ? 'named' : 'packed',
    inputs,
    outputs: model.output.map((column) => outputBinding(column, contract, model)),
    maxRows: fixed.length > 0 ? 1 : null,
    unused: service.features.filter((_, index) => !fed.has(index)).map((feature) => feature.name),
  }
}

function packedInput(service: ServicePlan, input: TensorInfo, model: ModelSpec): InputBinding {
  const contract = { inputs: [input], outputs: [] }
  if (elementType(input.type) === null)
    throw mismatch(model, service, contract, `its only input "${input.name}" is ${tensorText(input)}, a type that no feature has`)
  if (!isFloatElement(input.type)) {
    throw mismatch(
      model,
      service,
      contract,
      `its only input "${input.name}" is ${tensorText(input)}, which is neither a float tensor nor named after a feature`,
    )
  }
  const columns: InputColumn[] = []
  let offset = 0
  for (const [index, feature] of service.features.entries()) {
    if (!takes[input.type].includes(feature.type.kind)) continue
    const width = widthOf(feature.type)
    columns.push({ feature: index, name: feature.name, type: feature.type, offset, width })
    offset += width
  }
  const rowShape = rowShapeOf(input, offset)
  if (rowShape === null || input.shape.length < 2 || offset === 0) {
    throw mismatch(
      model,
      service,
      contract,
      `its input "${input.name}" is ${tensorText(input)}, but the service's ${columns.length} numeric features make [N, ${offset}]`,
    )
  }
  return { name: input.name, type: input.type, width: offset, rowShape, columns }
}

function namedInputs(service: ServicePlan, contract: ModelContract, model: ModelSpec, byName: ReadonlyMap<string, number>): InputBinding[] {
  if (contract.inputs.length === 0) throw mismatch(model, service, contract, 'it has no inputs')
  const refuse = (input: TensorInfo, reason: string, hint = '') =>
    mismatch(model, service, contract, `its input "${input.name}" ${reason}`, `${advice(input)}${hint}`)
  return contract.inputs.map((input) => {
    const type = elementType(input.type)
    if (type === null) throw refuse(input, `is ${tensorText(input)}, a type that no feature has`)
    const columns: InputColumn[] = []
    let width = 0
    for (const name of input.features ?? [input.name]) {
      const index = byName.get(name)
      const feature = index === undefined ? undefined : service.features[index]
      if (index === undefined || feature === undefined) {
        const what = input.features === undefined ? 'is' : `takes "${name}", which is`
        throw refuse(input, `${what} not a feature of the service`, didYouMean(name, byName.keys()))
      }
      const which = input.features === undefined ? 'the feature' : `the feature "${name}"`
      if (!takes[type].includes(feature.type.kind))
        throw refuse(input, `is ${tensorText(input)}, which cannot take ${which} of type ${typeName(feature.type)}`)
      if (!isFloatElement(type) && feature.nullable) {
        throw refuse(
          input,
          `is ${tensorText(input)}, which cannot represent a missing value, but ${which} can be missing: give the feature a default or make it required`,
        )
      }
      columns.push({ feature: index, name, type: feature.type, offset: width, width: widthOf(feature.type) })
      width += widthOf(feature.type)
    }
    const rowShape = rowShapeOf(input, width)
    if (rowShape === null) {
      const made = input.features === undefined ? 'the feature makes' : `its features (${input.features.join(', ')}) make`
      throw refuse(input, `is ${tensorText(input)}, but ${made} [N, ${width}]`)
    }
    return { name: input.name, type, width, rowShape, columns }
  })
}

/**
 * The dims after the first of an input whose rows have `width` elements. One of them may be free.
 *
 * @returns null if the shape has rows of another size, or no rows
 */
function rowShapeOf({ shape }: TensorInfo, width: number): number[] | null {
  if (shape.length === 0) return null
  const sizes = shape.slice(1).map(fixedSize)
  const rest = width / sizes.reduce<number>((product, size) => product * (size ?? 1), 1)
  const free = sizes.filter((size) => size === null).length
  const fits = free === 0 ? rest === 1 : free === 1 && Number.isInteger(rest)
  return fits ? sizes.map((size) => size ?? rest) : null
}

/** The elements of one row of an output; null: the file leaves them open. */
function rowSize({ shape }: TensorInfo): number | null {
  const sizes = shape.slice(1).map(fixedSize)
  return sizes.includes(null) ? null : sizes.reduce<number>((product, size) => product * (size ?? 1), 1)
}

function outputBinding(column: Column, contract: ModelContract, model: ModelSpec): OutputBinding {
  const output = contract.outputs.find((candidate) => candidate.name === column.name)
  const names = contract.outputs.map((candidate) => candidate.name)
  if (output === undefined) {
    throw new LockstepError(
      'MODEL_MISMATCH',
      `The model "${model.name}" declares the output "${column.name}", which the file does not have; it has ${contract.outputs.map(named).join(', ')}.${didYouMean(column.name, names)} Declare one of these, or export the model with that name.`,
      { details: { model: model.name, output: column.name, outputs: names } },
    )
  }
  const type = elementType(output.type)
  const size = output.shape.length === 0 ? Number.NaN : rowSize(output)
  const shapeFits =
    column.type.kind === 'vector'
      ? output.shape.length >= 2 && (size === null || size === column.type.length)
      : size === null || size === 1 || (size === 2 && isFloatElement(output.type))
  if (type === null || !answers[type].includes(column.type.kind) || !shapeFits) {
    throw new LockstepError(
      'MODEL_MISMATCH',
      `The model "${model.name}" declares the output "${column.name}" as ${typeName(column.type)}, but the file has ${named(output)}; declare ${declarable(output)}.`,
      { details: { model: model.name, output: column.name } },
    )
  }
  return { name: column.name, type: column.type, elementType: type, width: size }
}

/** The valid declarations of an output, for error messages. */
function declarable(output: TensorInfo): string {
  const type = elementType(output.type)
  const size = rowSize(output)
  if (type === null) return `another output: ${output.type} is not answered. ${exportAdvice}`
  if (output.shape.length === 0) return 'another output: this one cannot be answered'
  const scalar = answers[type].find((kind) => kind !== 'vector') ?? 'another output'
  if (output.shape.length === 1 || size === 1) return scalar
  if (!isFloatElement(type)) return 'another output: this one has several elements per row, and only floats can be a vector'
  const vector = `vector(${size ?? 'its length'})`
  return size === null || size === 2 ? `${scalar} or ${vector}` : vector
}

function noTensor(model: string, side: 'input' | 'output', tensor: TensorInfo): LockstepError {
  return new LockstepError(
    'MODEL_INVALID',
    `The ${side} "${tensor.name}" of the model "${model}" is a sequence, a map or another value that is no tensor; export the model with tensors as inputs and outputs.`,
    { details: { model, [side]: tensor.name } },
  )
}

function mismatch(
  model: ModelSpec,
  service: ServicePlan,
  contract: ModelContract,
  reason: string,
  advised: string = advice(contract.inputs[0]),
): LockstepError {
  return new LockstepError(
    'MODEL_MISMATCH',
    `The model "${model.name}" does not fit its feature service "${service.id}": ${reason}. The model takes ${listed(contract.inputs.map(named))}; the service gives ${listed(
      service.features.map(featureText),
    )}. ${advised}`,
    { details: { model: model.name, service: service.id, inputs: contract.inputs, features: service.features.map(featureText) } },
  )
}

/** What to do with an input or output of a type that is no `ElementType`. */
const exportAdvice = 'Export the model with float16, float32, float64, int32, int64, bool or string there, for example by a Cast node'

/** An input takes its declared features, the feature of its name, or all numeric features. */
function advice(input: TensorInfo | undefined): string {
  if (input !== undefined && elementType(input.type) === null) return `${exportAdvice}.`
  if (input?.features !== undefined)
    return 'Correct the features of the input in the declaration of the model, or export the model with inputs that fit.'
  return `Declare the features of each input in the model, as in input: { '${input?.name ?? 'x'}': ['visits', 'age'] }; or name the inputs after features, or take one float tensor [N, F] of the numeric features in this order.`
}

function listed(texts: readonly string[]): string {
  return `${texts.length} (${texts.join(', ')})`
}

function named(tensor: TensorInfo): string {
  return `"${tensor.name}" ${tensorText(tensor)}`
}

function featureText(feature: ServiceFeature): string {
  return `"${feature.name}" ${typeName(feature.type)}${feature.nullable ? '' : ' (never missing)'}`
}

function widthOf(type: ValueType): number {
  return type.kind === 'vector' ? type.length : 1
}

function elementType(type: string): ElementType | null {
  switch (type) {
    case 'float16':
    case 'float32':
    case 'float64':
    case 'int32':
    case 'int64':
    case 'bool':
    case 'string':
      return type
    default:
      return null
  }
}
