import type { InferenceSession } from 'onnxruntime-node'

/** One thread per session: a run blocks the event loop anyway, and servers scale by processes. */
export const sessionOptions: InferenceSession.SessionOptions = {
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  logSeverityLevel: 4,
  // without this, ONNX Runtime would load a validated ONNX file as its own format if it begins like one
  extra: { session: { load_model_format: 'ONNX' } },
}
