import type { DefinitionKind } from '../migrations/schema.ts'
import type { ChangePlan } from './change-plan.ts'
import type { DefinitionPlace } from './definition-places.ts'

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
  /** Whether the file can be edited there: the version is a number, and only this definition has it. */
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
  const bumps: VersionBump[] = []
  const edited = new Map<
    string,
    { readonly text: string; readonly raised: { readonly start: number; readonly end: number; readonly to: number }[] }
  >()
  for (const { kind, name, version, status, nextVersion } of changes) {
    if (status !== 'conflict' || nextVersion === undefined) continue
    const to = Math.max(nextVersion, (taken.get(`${kind} ${name}`) ?? 0) + 1)
    taken.set(`${kind} ${name}`, to)
    const bump = { kind, name, from: version, to }
    const place = placeOf(bump, places)
    const written = place?.versionAt ? place.text.slice(place.versionAt.start, place.versionAt.end) : null
    bumps.push({ ...bump, file: place?.file ?? null, line: place?.line ?? null, written, isEditable: place?.isEditable === true })
    if (place?.isEditable !== true || place.versionAt === null) continue
    const file = edited.get(place.file) ?? { text: place.text, raised: [] }
    file.raised.push({ ...place.versionAt, to })
    edited.set(place.file, file)
  }
  const edits = [...edited].map(([file, { text, raised }]) => ({
    file,
    before: text,
    after: raised
      .toSorted((a, b) => b.start - a.start)
      .reduce((after, { start, end, to }) => `${after.slice(0, start)}${to}${after.slice(end)}`, text),
  }))
  return { bumps, edits }
}

/** The only call that can have made the definition, else the most likely one. */
function placeOf(
  { kind, name, from }: Pick<VersionBump, 'kind' | 'name' | 'from'>,
  places: readonly DefinitionPlace[],
): (DefinitionPlace & { readonly isEditable: boolean }) | null {
  const ofKind = places.filter((place) => place.kind === kind)
  const named = ofKind.filter((place) => place.name === name)
  const exact = named.filter((place) => place.version === from)
  const [only] = exact
  if (only !== undefined && exact.length === 1) return { ...only, isEditable: true }
  const likely = named.find((place) => place.version === null) ?? only ?? ofKind.find((place) => place.name === null)
  return likely === undefined ? null : { ...likely, isEditable: false }
}
