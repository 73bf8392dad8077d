import type { InferenceSession } from 'onnxruntime-node'

/** One thread a session: the event loop waits for a run anyway, and a machine is filled with processes. */
export const sessionOptions: InferenceSession.SessionOptions = {
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  logSeverityLevel: 4,
}
