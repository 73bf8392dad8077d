import type { StepValues } from './on-demand-step.ts'
import type { Floats } from './states/packed-row.ts'
import { fillFloats, PackedRow } from './states/packed-row.ts'
import type { FloatColumn, ServiceRow } from './service-plan.ts'
import type { ViewValues } from './states/state.ts'
import { allPresent, Status, statusNames } from './states/state.ts'
import type { Value } from './values/value-type.ts'

/** The location of a feature among the read views, followed by the computed ones. */
export interface FeaturePlace {
  readonly site: number
  /** Index of the feature in it. */
  readonly feature: number
}

/** The layout that all rows of a service share. */
export class RowLayout {
  readonly places: readonly FeaturePlace[]
  /** By index of the sites: pairs of a feature's index in the site and its index in the service, as one flat list. */
  readonly pairs: readonly (readonly number[])[]
  readonly #fills = new WeakMap<readonly FloatColumn[], readonly SiteFill[]>()
  /** The last requested columns and their places, cached. */
  #last: readonly [columns: readonly FloatColumn[], fills: readonly SiteFill[]] = [[], []]

  constructor(places: readonly FeaturePlace[]) {
    this.places = places
    const pairs: number[][] = []
    for (const [of, { site, feature }] of places.entries()) (pairs[site] ??= []).push(feature, of)
    this.pairs = pairs
  }

  /**
   * @param read the views that were read
   * @param sites the read views, followed by the computed values
   */
  row(read: readonly ViewValues[], sites: readonly StepValues[], missing: readonly string[]): ServiceRow {
    return new Evaluated(this, read, sites, missing)
  }

  /** By index of the sites. */
  fillsOf(columns: readonly FloatColumn[]): readonly SiteFill[] {
    if (columns === this.#last[0]) return this.#last[1]
    let fills = this.#fills.get(columns)
    if (fills === undefined) this.#fills.set(columns, (fills = this.#compile(columns)))
    this.#last = [columns, fills]
    return fills
  }

  #compile(columns: readonly FloatColumn[]): SiteFill[] {
    const fills: SiteFill[] = []
    for (const { feature: of, offset, width } of columns) {
      const { site, feature } = this.places[of] as FeaturePlace
      const fill = (fills[site] ??= { columns: [], places: null })
      fill.columns.push({ feature, offset, width })
    }
    for (const fill of fills) {
      const features = fill?.columns.map(({ feature }) => feature) ?? []
      // a feature that is needed at two places is read from the values
      if (fill === undefined || new Set(features).size < features.length || fill.columns.some(({ width }) => width !== 1)) continue
      fill.places = new Int32Array(Math.max(...features) + 1).fill(-1)
      for (const { feature, offset } of fill.columns) fill.places[feature] = offset
    }
    return fills
  }
}

interface SiteFill {
  /** By index of the site's own features. */
  readonly columns: FloatColumn[]
  /** For packed values. */
  places: Int32Array | null
}

/** Values, statuses and event times are built on demand, because few callers need them. */
class Evaluated implements ServiceRow {
  readonly missing: readonly string[]
  readonly #layout: RowLayout
  readonly #read: readonly ViewValues[]
  readonly #sites: readonly StepValues[]
  #values: readonly (Value | null)[] | null = null
  #statuses: readonly Status[] | null = null

  constructor(layout: RowLayout, read: readonly ViewValues[], sites: readonly StepValues[], missing: readonly string[]) {
    this.missing = missing
    this.#layout = layout
    this.#read = read
    this.#sites = sites
  }

  get values(): readonly (Value | null)[] {
    if (this.#values !== null) return this.#values
    const { places } = this.#layout
    const values = new Array<Value | null>(places.length)
    let before = -1
    let from: readonly (Value | null)[] = values
    for (let i = 0; i < places.length; i++) {
      const { site, feature } = places[i] as FeaturePlace
      // features of one view are mostly adjacent
      if (site !== before) from = (this.#sites[(before = site)] as StepValues).values
      values[i] = from[feature] ?? null
    }
    this.#values = values
    return values
  }

  get statuses(): readonly Status[] {
    return (this.#statuses ??= statusesAt(this.#layout.places, this.#sites))
  }

  get eventTimes(): readonly (number | null)[] {
    return this.#layout.places.map(({ site }) => this.#read[site]?.eventTime ?? null)
  }

  eventTimeOf(use: number): number | null {
    return this.#read[use]?.eventTime ?? null
  }

  fill(floats: Floats, at: number, columns: readonly FloatColumn[]): void {
    const fills = this.#layout.fillsOf(columns)
    for (let s = 0; s < fills.length; s++) {
      const fill = fills[s]
      if (fill === undefined) continue
      const site = this.#sites[s] as StepValues
      if (fill.places !== null && site instanceof PackedRow) site.fill(floats, at, fill.places)
      else fillFloats(floats, at, fill.columns, site.values)
    }
  }

  countLacking(counts: Float64Array): void {
    const { pairs } = this.#layout
    for (let s = 0; s < pairs.length; s++) {
      const ofSite = pairs[s]
      const site = this.#sites[s] as StepValues
      if (ofSite === undefined || isPresent(site)) continue
      for (let i = 0; i < ofSite.length; i += 2) {
        const status = site.statuses[ofSite[i] as number] as Status
        if (status === Status.present) continue
        const slot = (ofSite[i + 1] as number) * statusNames.length + status
        counts[slot] = (counts[slot] as number) + 1
      }
    }
  }
}

function isPresent({ statuses }: StepValues): boolean {
  return statuses === allPresent(statuses.length)
}

function statusesAt(places: readonly FeaturePlace[], sites: readonly StepValues[]): readonly Status[] {
  if (sites.every(isPresent)) return allPresent(places.length)
  const statuses = new Array<Status>(places.length)
  for (let i = 0; i < places.length; i++) {
    const { site, feature } = places[i] as FeaturePlace
    statuses[i] = (sites[site] as StepValues).statuses[feature] as Status
  }
  return statuses
}
