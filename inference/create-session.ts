import { InferenceSession } from './onnx-runtime.ts'
import { withPresentLocale } from './text-locale.ts'
import { withoutZipMaps } from './zip-maps.ts'

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

/**
 * Loads a file into ONNX Runtime, as it is served.
 *
 * @param threads how many threads a run may use
 * @returns `served`: the bytes that were loaded, which can differ from the file
 * @throws Error of ONNX Runtime where the bytes do not load
 */
export async function createSession(
  bytes: Uint8Array,
  threads: number,
): Promise<{ readonly session: InferenceSession; readonly served: Uint8Array }> {
  const served = withoutZipMaps(bytes)
  try {
    return { session: await InferenceSession.create(served, sessionOptions(threads)), served }
  } catch (cause) {
    const present = withPresentLocale(served)
    if (present === served) throw cause
    return { session: await InferenceSession.create(present, sessionOptions(threads)), served: present }
  }
}
