import { ByteReader, ByteWriter } from '../kernel/binary.ts'
import { readHeader, storedFormat, storedHeaderBytes } from '../kernel/stored-state.ts'
import type { DefinitionId } from '../kernel/view-spec.ts'
import type { OnlineKey, OnlineStore } from './store.ts'

/**
 * What a store itself says about a view: how far it is materialized, of which definition, and by which database (by naming a run that only
 * that database knows). It lives beside the states, under a name that no entity can have, so it comes and goes with them: a store that was emptied, set back
 * to an older copy, or filled from elsewhere tells so, where a note in the database would not.
 */
export interface Marker {
  /** Every committed row with an arrival below it is in the view's states. */
  readonly frontier: number
  readonly fingerprint: string
  /** Whether its states grow with what arrives; else each run renews them from all rows. */
  readonly incremental: boolean
  /** The run that began the view in this store. */
  readonly origin: { readonly id: string; readonly startedAt: Date }
}

export async function readMarker(store: OnlineStore, view: DefinitionId): Promise<Marker | null> {
  const [marker] = await readMarkers(store, [view])
  return marker ?? null
}

/** The markers of several views, in one read, by index. */
export async function readMarkers(store: OnlineStore, views: readonly DefinitionId[]): Promise<(Marker | null)[]> {
  const stored = await store.read(views.map(markerKey))
  return stored.map((bytes, i) => (bytes === null ? null : decodeMarker(bytes, views[i] as DefinitionId)))
}

function decodeMarker(bytes: Buffer, view: DefinitionId): Marker {
  const { frontier } = readHeader(bytes, view)
  const body = new ByteReader(bytes, storedHeaderBytes)
  return {
    frontier,
    fingerprint: body.string(),
    incremental: body.byte() === 1,
    origin: { id: body.string(), startedAt: new Date(body.int()) },
  }
}

/** Stores the marker over the one that was read, or over none; false where it has changed since. */
export async function writeMarker(store: OnlineStore, view: DefinitionId, marker: Marker, present: Marker | null): Promise<boolean> {
  const writer = new ByteWriter()
  writer.byte(storedFormat)
  writer.float64(marker.frontier)
  writer.float64(Number.NEGATIVE_INFINITY)
  writer.string(marker.fingerprint)
  writer.byte(marker.incremental ? 1 : 0)
  writer.string(marker.origin.id)
  writer.int(marker.origin.startedAt.getTime())
  const [stored] = await store.write([
    { ...markerKey(view), expectedFrontier: present === null ? null : present.frontier, bytes: writer.bytes() },
  ])
  return stored === true
}

/**
 * Moves the marker on to `frontier`, unless it is there already. Where the view was removed or begun anew meanwhile, it stays as it is:
 * what this run wrote may be gone.
 */
export async function advanceMarker(store: OnlineStore, view: DefinitionId, from: Marker, frontier: number): Promise<boolean> {
  for (;;) {
    const present = await readMarker(store, view)
    if (present === null || !sameOrigin(present, from)) return false
    if (present.frontier >= frontier || (await writeMarker(store, view, { ...from, frontier }, present))) return true
  }
}

export function sameOrigin(a: Marker, b: Marker): boolean {
  return a.fingerprint === b.fingerprint && a.origin.id === b.origin.id && a.origin.startedAt.getTime() === b.origin.startedAt.getTime()
}

function markerKey(view: DefinitionId): OnlineKey {
  return { view, entity: '~', key: '' }
}
