import type { AliasChange } from '../registry/promote.ts'
import type { ModelVersion } from '../registry/model-versions.ts'

/** `champion of delay: version 3 (it was 2).` */
export function aliasChangeText({ model, alias, from, to, changed, servers }: Omit<AliasChange, 'revision'>): string {
  if (to === null) return `Removed the alias "${alias}" of ${model}; it pointed to version ${from}.`
  if (!changed) return `The alias "${alias}" of ${model} already points to version ${to}.`
  const text = `The alias "${alias}" of ${model} now points to version ${to}${from === null ? '' : `; it was ${from}`}.`
  if (servers === undefined || servers.loaded === servers.asked) return text
  return `${text}\n${servers.loaded} of ${servers.asked} servers had loaded it; the others serve it when they have loaded it.`
}

/** A model version as JSON. */
export function modelVersionJson({ contract, ...version }: ModelVersion) {
  return { ...version, inputs: contract.inputs, outputs: contract.outputs }
}
