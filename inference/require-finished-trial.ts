import type { ModelOperational } from '../registry/load/definition-set.ts'
import type { ModelBinding } from '../registry/models/model-binding.ts'
import { startModelProcess } from './model-process.ts'
import type { ProfileOptions } from './profile-model.ts'

export const loadTimeoutMs = 60_000
/** The time limit of a trial on generated rows. */
export const trialTimeoutMs = 5000
const defaultTolerance = 1e-6

/** The generated rows of a trial: they have the shapes that the features give, also where the file leaves them free. */
export function trialOptions({ inputs, maxRows }: ModelBinding, { tolerance = defaultTolerance }: ModelOperational): ProfileOptions {
  return { single: maxRows === 1, tolerance, rowShapes: Object.fromEntries(inputs.map(({ name, rowShape }) => [name, rowShape])) }
}

/**
 * Whether a loadable model answers or refuses generated rows in time and without crashing its process. It is tried as
 * servers try it: on the same rows, with the same number of threads.
 */
export async function trialEnds(bytes: Uint8Array, binding: ModelBinding, operational: ModelOperational): Promise<boolean> {
  const modelProcess = startModelProcess()
  try {
    await modelProcess.load(bytes, 'the model', loadTimeoutMs, operational.threads)
    await modelProcess.profile(trialOptions(binding, operational), trialTimeoutMs)
    return true
  } catch (error) {
    if (modelProcess.alive()) throw error
    return false
  } finally {
    modelProcess.kill()
  }
}
