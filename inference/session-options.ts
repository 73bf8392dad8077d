import type { InferenceSession } from 'onnxruntime-node'

/** By default a session has one thread: servers scale by processes. */
export const sessionOptions = (threads: number): InferenceSession.SessionOptions => ({
  intraOpNumThreads: threads,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  logSeverityLevel: 4,
  extra: {
    session: {
      // without this, ONNX Runtime would load a validated ONNX file as its own format if it begins like one
      load_model_format: 'ONNX',
      // threads that wait for work would take the processors from the server and from other models
      intra_op: { allow_spinning: '0' },
    },
  },
})
