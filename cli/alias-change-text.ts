import type { AliasChange } from '../registry/promote.ts'

/** `champion of delay: version 3 (it was 2).` */
export function aliasChangeText({ model, alias, from, to, changed, servers }: Omit<AliasChange, 'revision'>): string {
  if (to === null) return `The alias "${alias}" of ${model} is gone; it was version ${from}.`
  if (!changed) return `The alias "${alias}" of ${model} is version ${to} already.`
  const text = `The alias "${alias}" of ${model} is version ${to} now${from === null ? '' : `; it was ${from}`}.`
  if (servers === undefined || servers.loaded === servers.asked) return text
  return `${text}\n${servers.loaded} of ${servers.asked} servers had loaded it; the others answer with it once they have.`
}
