import { LockstepError } from '../../kernel/errors.ts'
import type { KindList } from '../definition.ts'
import { definitionKey, kindLists, kindOrder, versionOf } from '../definition.ts'
import type { Declared, DefinitionSet } from './definition-set.ts'
import { fingerprints } from '../fingerprint.ts'

type Undeclared<List> = List extends readonly Declared<infer Spec, infer Operational>[]
  ? readonly { readonly spec: Spec; readonly operational: Declared<Spec, Operational>['operational'] }[]
  : never

/** The definitions of a set without their fingerprints. */
export type UndeclaredDefinitions = { readonly [List in KindList]: Undeclared<DefinitionSet[List]> }

/**
 * Computes the fingerprints of definitions.
 *
 * @param code texts that the running esbuild printed, so that their hashes are their identities
 */
export function declareDefinitions(file: string, definitions: UndeclaredDefinitions, code: ReadonlyMap<string, string>): DefinitionSet {
  const prints = fingerprints(definitions)
  const declared = kindOrder.map((kind) => {
    const list = kindLists[kind]
    const each = definitions[list].map((definition) => {
      const { spec } = definition
      const fingerprint = prints.get(definitionKey({ kind, name: spec.name, version: versionOf(kind, spec) }))
      if (fingerprint === undefined) throw new LockstepError('INTERNAL', 'A definition has no fingerprint; report this.')
      return { ...definition, fingerprint }
    })
    return [list, each]
  })
  // each list has the type of its own definitions
  return { file, ...(Object.fromEntries(declared) as Omit<DefinitionSet, 'file' | 'code'>), code }
}
