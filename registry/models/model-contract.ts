/**
 * The inputs and outputs of a model, as data. inference/ (`inspectModel`) reads them from the bytes; here they are
 * compared with the feature service and stored.
 */
export interface ModelContract {
  readonly inputs: readonly TensorInfo[]
  readonly outputs: readonly TensorInfo[]
}

export interface TensorInfo {
  readonly name: string
  /**
   * The element type as ONNX Runtime names it: `float32`, `float64`, `int64`, `int32`, `bool`, `string`, …; any text if
   * it is not a tensor.
   */
  readonly type: string
  /**
   * A number is a fixed size; a text (or a number below 0) is a variable size. Empty for scalars, and if it is not a
   * tensor.
   */
  readonly shape: readonly (number | string)[]
  /** False for sequences and maps. */
  readonly isTensor: boolean
  /**
   * The features that form a row of an input, in order, as the model declared them when the version was pushed. Absent:
   * none were declared for the input.
   */
  readonly features?: readonly string[]
}

/** `float32[N, 3]` */
export function tensorText(tensor: TensorInfo): string {
  if (!tensor.isTensor) return 'no tensor'
  return `${tensor.type}[${tensor.shape.map((size, axis) => sizeText(size, axis)).join(', ')}]`
}

/** The size of an axis if it is fixed, else null. */
export function fixedSize(size: number | string | undefined): number | null {
  return typeof size === 'number' && size >= 0 ? size : null
}

function sizeText(size: number | string, axis: number): string {
  if (fixedSize(size) !== null) return String(size)
  if (axis === 0) return 'N'
  return typeof size === 'string' && size !== '' ? size : '?'
}
