import type { InferenceSession } from 'onnxruntime-node'

/** One thread a session: the event loop waits for a run anyway, and a machine is filled with processes. */
export const sessionOptions: InferenceSession.SessionOptions = {
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  logSeverityLevel: 4,
  // a file may be ONNX to those who check it and begin like ONNX Runtime's own format, which it would take it for
  extra: { session: { load_model_format: 'ONNX' } },
}
