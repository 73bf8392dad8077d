import type { DefinitionKind } from '../../migrations/schema.ts'
import type { ChangePlan } from './change-plan.ts'
import type { DefinitionPlace } from '../load/definition-places.ts'

/** A version that must be raised, because the definition changed under it. */
export interface VersionBump {
  readonly kind: DefinitionKind
  readonly name: string
  readonly from: number
  /** The next version that is free. */
  readonly to: number
  /** Where the version is written, if that is known; `line` from 1. */
  readonly file: string | null
  readonly line: number | null
  /** The version as it is written there: `1`, `nextVersion`. */
  readonly written: string | null
  /**
   * Whether the file can be edited there: the version is a number, of this definition or of others that are raised
   * alike.
   */
  readonly isEditable: boolean
}

export interface FileEdit {
  readonly file: string
  readonly before: string
  readonly after: string
}

export interface BumpPlan {
  /** In the order of the plan: a definition comes after all that it refers to. */
  readonly bumps: readonly VersionBump[]
  /** Files with raised versions. Nothing but the numbers differs. */
  readonly edits: readonly FileEdit[]
}

/**
 * Raises the version of each definition that changed under a version that exists. Definitions that refer to a changed
 * one are among them, so everything that depends on it moves along.
 *
 * @param places of the definitions file (`definitionPlaces`)
 */
export function planBump({ changes }: Pick<ChangePlan, 'changes'>, places: readonly DefinitionPlace[]): BumpPlan {
  const taken = new Map<string, number>()
  const raised = changes.flatMap(({ kind, name, version, status, nextVersion }) => {
    if (status !== 'conflict' || nextVersion === undefined) return []
    const to = Math.max(nextVersion, (taken.get(`${kind} ${name}`) ?? 0) + 1)
    taken.set(`${kind} ${name}`, to)
    const bump = { kind, name, from: version, to }
    return [{ bump, ...placeOf(bump, places) }]
  })
  /** Whether all definitions that have the number are raised to the same one. */
  const isShared = (place: DefinitionPlace, to: number): boolean =>
    places
      .filter((other) => isSameNumber(other, place))
      .every((other) => raised.some((each) => each.place === other && each.bump.to === to))
  const bumps: VersionBump[] = []
  const edits = new Map<string, { readonly text: string; readonly numbers: Map<number, { readonly end: number; readonly to: number }> }>()
  for (const { bump, place, isOnly } of raised) {
    const isEditable = isOnly && place !== null && isShared(place, bump.to)
    const written = place?.versionAt ? place.text.slice(place.versionAt.start, place.versionAt.end) : null
    bumps.push({ ...bump, file: place?.file ?? null, line: place?.line ?? null, written, isEditable })
    if (!isEditable || place.versionAt === null) continue
    const edit = edits.get(place.file) ?? { text: place.text, numbers: new Map<number, { end: number; to: number }>() }
    edit.numbers.set(place.versionAt.start, { end: place.versionAt.end, to: bump.to })
    edits.set(place.file, edit)
  }
  return { bumps, edits: [...edits].map(([file, { text, numbers }]) => ({ file, before: text, after: withNumbers(text, numbers) })) }
}

function isSameNumber(a: DefinitionPlace, b: DefinitionPlace): boolean {
  return a.file === b.file && a.versionAt !== null && a.versionAt.start === b.versionAt?.start
}

function withNumbers(text: string, numbers: ReadonlyMap<number, { readonly end: number; readonly to: number }>): string {
  const backwards = [...numbers].toSorted(([a], [b]) => b - a)
  return backwards.reduce((after, [start, { end, to }]) => `${after.slice(0, start)}${to}${after.slice(end)}`, text)
}

/** The only call that can have made the definition, else the most likely one. */
function placeOf(
  { kind, name, from }: Pick<VersionBump, 'kind' | 'name' | 'from'>,
  places: readonly DefinitionPlace[],
): { readonly place: DefinitionPlace | null; readonly isOnly: boolean } {
  const ofKind = places.filter((place) => place.kind === kind)
  const named = ofKind.filter((place) => place.name === name)
  const exact = named.filter((place) => place.version === from)
  const [only] = exact
  if (only !== undefined && exact.length === 1) return { place: only, isOnly: true }
  return {
    place: named.find((place) => place.version === null) ?? only ?? ofKind.find((place) => place.name === null) ?? null,
    isOnly: false,
  }
}
