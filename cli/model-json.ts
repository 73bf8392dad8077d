import type { CatalogModel } from '../registry/catalog.ts'
import type { ModelVersion } from '../registry/model-versions.ts'

/** A model version for programs. */
export function modelVersionJson({ contract, ...version }: ModelVersion): object {
  return { ...version, inputs: contract.inputs, outputs: contract.outputs }
}

/** The aliases that point at a version. */
export function aliasesOf({ aliases }: CatalogModel, version: number): string[] {
  return [...aliases.values()].filter((each) => each.version === version).map(({ alias }) => alias)
}
