import { InferenceSession } from './onnx-runtime.ts'
import { sessionOptions } from './session-options.ts'
import { withPresentLocale } from './text-locale.ts'
import { withoutZipMaps } from './zip-maps.ts'

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
