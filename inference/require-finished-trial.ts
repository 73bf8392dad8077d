import type { ModelContract } from '../registry/model-contract.ts'
import { fixedSize } from '../registry/model-contract.ts'
import { startModelProcess } from './model-process.ts'

const loadTimeoutMs = 60_000
/** How long a model may take to be tried on made-up rows. */
export const trialTimeoutMs = 5000

/**
 * Whether a model that can be loaded answers made-up rows, or refuses them, in time and without taking its process
 * down.
 */
export async function trialEnds(bytes: Uint8Array, { inputs }: ModelContract): Promise<boolean> {
  const modelProcess = startModelProcess()
  try {
    await modelProcess.load(bytes, 'the model', loadTimeoutMs)
    await modelProcess.profile({ single: inputs.some(({ shape }) => fixedSize(shape[0]) === 1), tolerance: 0 }, trialTimeoutMs)
    return true
  } catch (error) {
    if (modelProcess.alive()) throw error
    return false
  } finally {
    modelProcess.kill()
  }
}
