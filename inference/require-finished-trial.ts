import type { ModelContract } from '../registry/models/model-contract.ts'
import { fixedSize } from '../registry/models/model-contract.ts'
import { startModelProcess } from './model-process.ts'

const loadTimeoutMs = 60_000
/** The time limit of a trial on generated rows. */
export const trialTimeoutMs = 5000

/**
 * Whether a loadable model answers or refuses generated rows in time and without crashing its process.
 */
export async function trialEnds(bytes: Uint8Array, { inputs }: ModelContract): Promise<boolean> {
  const modelProcess = startModelProcess()
  try {
    await modelProcess.load(bytes, 'the model', loadTimeoutMs)
    const single = inputs.some(({ shape }) => fixedSize(shape[0]) === 1)
    await modelProcess.profile({ single, tolerance: 0, rowShapes: {} }, trialTimeoutMs)
    return true
  } catch (error) {
    if (modelProcess.alive()) throw error
    return false
  } finally {
    modelProcess.kill()
  }
}
