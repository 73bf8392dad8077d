import { LockstepError } from '../../kernel/errors.ts'
import type { DefinitionKind } from '../../migrations/schema.ts'
import type { Definition, DefinitionKey } from '../definition.ts'
import { definitionKey, displayName, kindNames, labelOf, references } from '../definition.ts'
import { didYouMean } from '../../kernel/did-you-mean.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'

/**
 * References of the declared definitions to what is in neither the file nor the registry, and to features that their
 * view does not have.
 */
export function checkReferences(declared: readonly Definition[], stored: ReadonlyMap<DefinitionKey, Definition>): LockstepError[] {
  const known = new Map<DefinitionKey, Definition>()
  for (const definition of stored.values()) if (!definition.retired) known.set(definitionKey(definition), definition)
  for (const definition of declared) known.set(definitionKey(definition), definition)
  return declared.flatMap((definition) => [
    ...references(definition).flatMap((key) => (known.has(key) ? [] : [unknown(definition, key, known.values())])),
    ...checkFeatures(definition, known),
  ])
}

function unknown(from: Definition, key: DefinitionKey, known: Iterable<Definition>): LockstepError {
  const [kind = '', label = ''] = key.split(' ')
  const candidates = [...known].filter((definition) => definition.kind === kind).map(labelOf)
  return new LockstepError(
    'UNKNOWN_DEFINITION',
    `The ${displayName(from)} refers to the ${kindNames[kind as DefinitionKind]} "${label}", which is neither in the file nor in the registry.${didYouMean(label, candidates)} Declare it, or correct the reference.`,
    { details: { definition: labelOf(from), reference: label } },
  )
}

function checkFeatures(definition: Definition, known: ReadonlyMap<DefinitionKey, Definition>): LockstepError[] {
  if (definition.kind !== 'service') return []
  return definition.spec.members.flatMap((member) => {
    const target = known.get(member.kind === 'view' ? `view ${member.use.view}` : `onDemand ${member.view}`)
    if (target?.kind !== 'view' && target?.kind !== 'onDemand') return []
    const names = target.spec.features.map((feature) => feature.name)
    return member.features
      .filter((name) => !names.includes(name))
      .map(
        (name) =>
          new LockstepError(
            'UNKNOWN_FEATURE',
            `The ${displayName(definition)} takes the feature "${name}" of the ${displayName(target)}, which has ${quotedNames(names)}.${didYouMean(name, names)}`,
            { details: { service: labelOf(definition), view: labelOf(target), feature: name } },
          ),
      )
  })
}
