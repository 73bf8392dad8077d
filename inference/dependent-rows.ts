import { parseOnnxMetadata } from './onnx-metadata.ts'

/**
 * Whether the graph quantizes activations by the range of all rows of a run, so that a row's output depends on the rows
 * beside it. `quantize_dynamic` of ONNX Runtime makes such graphs: measured, a probability moved by up to 0.17.
 */
export function quantizesByRun(bytes: Uint8Array): boolean {
  try {
    return parseOnnxMetadata(bytes).opTypes.has('DynamicQuantizeLinear')
  } catch {
    return false // what cannot be read is refused elsewhere
  }
}

export const quantizesByRunNote =
  'the file is dynamically quantized (DynamicQuantizeLinear), so the prediction of a row depends on the rows that run beside it. Servers run such a version one row at a time, which is slower than float32. Quantize it statically instead (quantize_static of onnxruntime.quantization, with a sample of the training set), or push the float32 file'
