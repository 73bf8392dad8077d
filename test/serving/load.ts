import type { ModelSpec } from '../../kernel/specs/service-spec.ts'
import type { ModelBinding } from '../../registry/models/model-binding.ts'
import { bindModel } from '../../registry/models/model-binding.ts'
import type { BatchedModelOptions } from '../../inference/batched-model.ts'
import { openInlineSession } from '../../inference/inline-session.ts'
import type { LoadedModel } from '../../inference/load-model.ts'
import { loadedModel } from '../../inference/load-model.ts'
import { servingSet } from './definitions.ts'
import { onnx } from './fixtures.ts'
import { servicePlan } from './plans.ts'

/**
 * Loads a fixture, or bytes, for a service and a model of the serving set.
 *
 * @param model its declared outputs, or those that are given
 */
export async function load(
  file: string | Uint8Array,
  service: string,
  model: string,
  output?: ModelSpec['output'],
  onRun: (rows: number, ms: number) => void = () => undefined,
): Promise<LoadedModel> {
  const bytes = typeof file === 'string' ? await onnx(file) : file
  const session = await openInlineSession(bytes, model)
  return loadedModel(session, bindTo(session.metadata, service, model, output), model, onRun === undefined ? {} : { onRun })
}

export function bindTo(contract: LoadedModel['metadata'], service: string, model: string, output?: ModelSpec['output']): ModelBinding {
  const declared = servingSet.models.find(({ spec }) => spec.name === model)?.spec as ModelSpec
  return bindModel(servicePlan(service), contract, output === undefined ? declared : { ...declared, output })
}

/** Batches by the turn of the event loop, up to 128 rows. */
export const byTurn: BatchedModelOptions = { maxRows: () => 128, sharesRuns: true, delayMs: 0, inFlight: 1, onWait: () => undefined }
