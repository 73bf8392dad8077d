import { championAlias } from '../../registry/models/model-aliases.ts'
import type { PinChange } from '../../registry/models/pin-model.ts'
import type { AliasChange } from '../../registry/models/promote.ts'
import type { ModelVersion } from '../../registry/models/model-versions.ts'

/** `champion of delay: version 3 (it was 2).` */
export function aliasChangeText({
  pinned = null,
  ...change
}: Omit<AliasChange, 'revision' | 'pinned'> & { pinned?: number | null }): string {
  const text = changeText(change)
  if (pinned === null || change.alias !== championAlias || pinned === change.to) return text
  const { model } = change
  return `${text}\nThe model is pinned to version ${pinned}, which still answers requests without a version. Unpin it: lockstep model unpin ${model}`
}

function changeText({ model, alias, from, to, changed, servers }: Omit<AliasChange, 'revision' | 'pinned'>): string {
  if (to === null) return `Removed the alias "${alias}" of ${model}; it pointed to version ${from}.`
  if (!changed) return `The alias "${alias}" of ${model} already points to version ${to}.`
  const text = `The alias "${alias}" of ${model} now points to version ${to}${from === null ? '' : `; it was ${from}`}.`
  if (servers === undefined || servers.loaded === servers.asked) return text
  return `${text}\n${servers.loaded} of ${servers.asked} servers had loaded it; the others serve it when they have loaded it.`
}

/** A change of a pin, and the version that answers now. */
export function pinChangeText({ model, from, to, serves, changed, servers }: Omit<PinChange, 'revision'>): string {
  if (to === null) return `Unpinned ${model}; it was pinned to version ${from}. Version ${serves} is the default again.`
  if (!changed) return `${model} is already pinned to version ${to}.`
  const text = `Pinned ${model} to version ${to}${from === null ? '' : `; it was ${from}`}. It answers all requests without a version until you unpin the model: lockstep model unpin ${model}`
  if (servers === undefined || servers.loaded === servers.asked) return text
  return `${text}\n${servers.loaded} of ${servers.asked} servers had loaded it; the others serve it when they have loaded it.`
}

/** A model version as JSON. */
export function modelVersionJson({ contract, ...version }: ModelVersion) {
  return { ...version, inputs: contract.inputs, outputs: contract.outputs }
}
