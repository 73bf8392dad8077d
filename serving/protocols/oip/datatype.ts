import { LockstepError } from '../../../kernel/errors.ts'

/** The element types of the Open Inference Protocol. */
export type Datatype = keyof typeof datatypes

interface DatatypeFacts {
  /** The name in ONNX Runtime. */
  readonly onnx: string
  /** The size of one element in binary; null: each element has its own length. */
  readonly bytes: number | null
}

const datatypes = {
  BOOL: { onnx: 'bool', bytes: 1 },
  UINT8: { onnx: 'uint8', bytes: 1 },
  UINT16: { onnx: 'uint16', bytes: 2 },
  UINT32: { onnx: 'uint32', bytes: 4 },
  UINT64: { onnx: 'uint64', bytes: 8 },
  INT8: { onnx: 'int8', bytes: 1 },
  INT16: { onnx: 'int16', bytes: 2 },
  INT32: { onnx: 'int32', bytes: 4 },
  INT64: { onnx: 'int64', bytes: 8 },
  FP16: { onnx: 'float16', bytes: 2 },
  FP32: { onnx: 'float32', bytes: 4 },
  FP64: { onnx: 'float64', bytes: 8 },
  BYTES: { onnx: 'string', bytes: null },
} as const satisfies Record<string, DatatypeFacts>

const byOnnx = new Map(Object.entries(datatypes).map(([name, { onnx }]) => [onnx as string, name as Datatype]))

/** The name that ONNX Runtime has for it. */
export function onnxTypeOf(datatype: Datatype): string {
  return datatypes[datatype].onnx
}

/** null for a type that the protocol has no name for, such as bfloat16. */
export function datatypeOf(onnxType: string): Datatype | null {
  return byOnnx.get(onnxType) ?? null
}

/** Bytes of one element in binary; null for BYTES, whose elements each have a length of their own. */
export function elementBytes(datatype: Datatype): number | null {
  return datatypes[datatype].bytes
}

/**
 * @param tensor names it in the error
 * @throws LockstepError `INVALID_REQUEST` for a name that the protocol does not have
 */
export function parseDatatype(text: string, tensor: string): Datatype {
  if (Object.hasOwn(datatypes, text)) return text as Datatype
  throw new LockstepError(
    'INVALID_REQUEST',
    `The tensor "${tensor}" has the unknown datatype "${text}". Use one of ${Object.keys(datatypes).join(', ')}.`,
    { details: { tensor, datatype: text } },
  )
}
