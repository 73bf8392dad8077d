import type { SourceSpec, ViewSpec } from '../../kernel/specs/view-spec.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import type { Definition } from '../definition.ts'
import { displayName } from '../definition.ts'

/**
 * Notes about columns that the file takes from a source that Lockstep writes, although a view that is only in the
 * registry, and stays there, reads them.
 *
 * @param left the definitions that are only in the registry and stay
 */
export function lostColumnNotes(declared: readonly Definition[], left: readonly Definition[]): string[] {
  const written = new Map<string, SourceSpec>()
  for (const each of declared)
    if (each.kind === 'source' && (each.spec.relation.kind === 'owned' || each.operational.push === true)) written.set(each.name, each.spec)
  return left.flatMap((definition) => {
    if (definition.kind !== 'view') return []
    const { source } = definition.spec
    const kept = written.get(source.name)?.columns
    if (kept === undefined) return []
    const lost = columnsRead(definition.spec).filter((name) => !kept.some((column) => column.name === name))
    if (lost.length === 0) return []
    const names = `the ${lost.length === 1 ? 'column' : 'columns'} ${quotedNames(lost)}`
    return [
      `The source "${source.name}" loses ${names}, but the ${displayName(definition)} stays in the registry and reads null there in all rows that are pushed or ingested from now on. Keep ${names} until no model needs that version.`,
    ]
  })
}

/** A transform may read any column. */
function columnsRead({ source, code, features }: ViewSpec): string[] {
  const names = source.columns.map(({ name }) => name)
  if (code !== null) return names
  const read = new Set(features.flatMap((feature) => ['column' in feature ? feature.column : null, feature.where ?? null]))
  return names.filter((name) => read.has(name))
}
