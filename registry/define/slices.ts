import { didYouMean } from '../../kernel/did-you-mean.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { isRecord } from '../../kernel/is-record.ts'
import type { SliceSpec, SliceSpecs } from '../../kernel/specs/slice-spec.ts'
import { ownSplits } from '../../kernel/specs/slice-spec.ts'
import { show } from '../../kernel/values/value-type.ts'
import type { FeatureService } from './feature-service.ts'
import { checkFieldName } from './names.ts'

/**
 * Named splits of the figures of a model: by the values of a column, by bins of a number, or by groups of values.
 *
 * @example
 *   slices: {
 *     country: 'country',
 *     amount: { column: 'amount', at: [10, 100] },
 *     region: { column: 'country', values: { europe: ['DE', 'FR'], america: ['US', 'CA'] } },
 *   }
 */
export type Slices<C extends string = string> = Readonly<Record<string, C | Slice<C>>>

type Slice<C extends string> =
  | { readonly column: C; readonly at: readonly number[]; readonly values?: never }
  | { readonly column: C; readonly at?: never; readonly values: Readonly<Record<string, readonly (string | number | boolean)[]>> }

/** The columns that a logged prediction of a service has. */
export type ColumnOf<S extends FeatureService> = (keyof S['needs'] | keyof S['features']) & string

/** Figures by slice are computed one slice after the other. */
const maxSlices = 20
const maxGroups = 100

/**
 * @param what `The model "delay"`
 * @throws LockstepError `DEFINITIONS_INVALID`, `UNKNOWN_COLUMN`, `INVALID_NAME`
 */
export function checkSlices(given: unknown, { name: service, needs, features }: FeatureService, what: string): SliceSpecs {
  if (!isRecord(given)) throw invalid(`${what} has the slices ${show(given)}; write columns by name, as in slices: { country: 'country' }.`)
  const entries = Object.entries(given)
  if (entries.length > maxSlices) throw invalid(`${what} has ${entries.length} slices; at most ${maxSlices} are kept.`)
  const columns = [...Object.keys(needs), ...Object.keys(features)]
  const specs = entries.map(([name, stated]): [string, SliceSpec] => {
    checkFieldName(name, `A slice of ${what}`)
    const place = `${what} has the slice "${name}"`
    if (ownSplits.some((each) => each === name)) throw invalid(`${place}, a name that figures use for a split of their own; rename it.`)
    const { column, at, values, ...more } = isRecord(stated) ? stated : { column: stated }
    const [unknown] = Object.keys(more)
    if (unknown !== undefined) throw invalid(`${place} with the option "${unknown}"; a slice has a column, and "at" or "values".`)
    if (typeof column !== 'string' || !columns.includes(column))
      throw new LockstepError(
        'UNKNOWN_COLUMN',
        `${place} of ${show(column)}, which is not a column of the service "${service}".${typeof column === 'string' ? didYouMean(column, columns) : ''} Its columns are ${columns.join(', ')}.`,
        { details: { slice: name } },
      )
    if (name !== column && columns.includes(name)) throw invalid(`${place} of "${column}", but "${name}" is a column itself; rename it.`)
    if (at !== undefined && values !== undefined) throw invalid(`${place} with both "at" and "values"; remove one.`)
    const groups = at === undefined ? valuesOf(values, place) : { at: edgesOf(at, place) }
    return [name, Object.freeze({ column, ...groups })]
  })
  return Object.freeze(Object.fromEntries(specs))
}

function edgesOf(at: unknown, place: string): readonly number[] {
  const edges: readonly unknown[] = Array.isArray(at) ? at : []
  const isRising = edges.every((edge, i) => Number.isFinite(edge) && (i === 0 || Number(edge) > Number(edges[i - 1])))
  if (edges.length > 0 && edges.length < maxGroups && isRising) return Object.freeze(edges.map(Number))
  throw invalid(`${place} at ${show(at)}; write rising numbers, as in at: [10, 100].`)
}

function valuesOf(values: unknown, place: string): Pick<SliceSpec, 'values'> {
  if (values === undefined) return {}
  const groups = isRecord(values) ? Object.entries(values) : []
  const seen = new Set<string>()
  const named = groups.map(([label, list]): [string, readonly (string | number | boolean)[]] => {
    const members = (Array.isArray(list) ? list : []).filter(isMember)
    if (!Array.isArray(list) || members.length === 0 || members.length !== list.length)
      throw invalid(`${place} with the group "${label}" of ${show(list)}; write its values, as in ${label}: ['DE', 'FR'].`)
    for (const member of members) {
      if (seen.has(String(member))) throw invalid(`${place}, which has ${show(member)} twice; a value is in one group.`)
      seen.add(String(member))
    }
    return [label, Object.freeze(members)]
  })
  if (named.length === 0 || named.length > maxGroups)
    throw invalid(`${place} with the values ${show(values)}; write 1 to ${maxGroups} groups, as in values: { europe: ['DE', 'FR'] }.`)
  return { values: Object.freeze(Object.fromEntries(named)) }
}

function isMember(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value)
}

function invalid(message: string): LockstepError {
  return new LockstepError('DEFINITIONS_INVALID', message)
}
