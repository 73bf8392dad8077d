import type { ModelVersion } from '../registry/model-versions.ts'

/** A model version for programs. */
export function modelVersionJson({ contract, ...version }: ModelVersion): object {
  return { ...version, inputs: contract.inputs, outputs: contract.outputs }
}
