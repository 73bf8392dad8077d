import type { ByteReader, ByteWriter } from '../../kernel/values/binary.ts'
import type { EntitySums } from '../../statistics/clustered-shares.ts'
import { addEntityCounts, createEntitySums } from '../../statistics/clustered-shares.ts'
import type { BinLayout } from './bin-layout.ts'
import { decodeLayout, encodeLayout, placesIn, mergeLayouts } from './bin-layout.ts'
import { SmallestHashes } from './smallest-hashes.ts'

/** How many entities are kept, of a minute as of a year. */
const maxEntities = 512

/** The rows of one column by bin. */
export interface ColumnBinCounts {
  readonly binsId: string
  /** How many of the rows whose values were taken fall into each bin. */
  readonly counts: readonly number[]
  /** Sums over the entities in the sample. */
  readonly sums: EntitySums
}

/**
 * Rows by bin of each column: of all rows, and of each entity among those with the smallest hashes. The rows of an
 * entity depend on each other, over minutes and processes too, so tests need sums over entities, which follow from the
 * second.
 */
export class BinnedRows {
  #layout: BinLayout
  #totals: Float64Array
  readonly #entities = new SmallestHashes(maxEntities)
  /** Rows of each entity, by slot. */
  readonly #rows = new Float64Array(maxEntities)
  /** By slot, then by bin. It grows with the slots. */
  #counts: Float64Array
  readonly #clear = (slot: number): void => {
    this.#rows[slot] = 0
    this.#counts.fill(0, slot * this.#layout.bins, (slot + 1) * this.#layout.bins)
  }

  constructor(layout: BinLayout) {
    this.#layout = layout
    this.#totals = new Float64Array(layout.bins)
    this.#counts = new Float64Array(layout.bins)
  }

  /**
   * How many distinct entities there were: exactly if all are in the sample, else estimated from the greatest hash in
   * it, within about 9 % (Bar-Yossef et al., "Counting Distinct Elements in a Data Stream", 2002).
   */
  distinctEntities(): number {
    const { count } = this.#entities
    if (this.#entities.complete || count === 0) return count
    return Math.round((count - 1) / ((this.#entities.hashes()[count - 1] as number) / 2 ** 53))
  }

  /** Adds a row. @param bins of each column that has bins: the index of its bin among all bins */
  add(entity: number, bins: Int32Array): void {
    for (let column = 0; column < bins.length; column++) {
      const bin = bins[column] as number
      this.#totals[bin] = (this.#totals[bin] as number) + 1
    }
    const slot = this.#slot(entity)
    if (slot < 0) return
    this.#rows[slot] = (this.#rows[slot] as number) + 1
    const at = slot * this.#layout.bins
    const counts = this.#counts
    for (let column = 0; column < bins.length; column++) {
      const bin = at + (bins[column] as number)
      counts[bin] = (counts[bin] as number) + 1
    }
  }

  merge(other: BinnedRows): void {
    this.#widen(mergeLayouts(this.#layout, other.#layout))
    const places = placesIn(this.#layout, other.#layout)
    addAt(this.#totals, 0, other.#totals, 0, other.#layout.bins, places)
    for (const entity of other.#entities.hashes()) {
      const slot = this.#slot(entity)
      if (slot < 0) continue
      const from = other.#entities.slotOf(entity)
      this.#rows[slot] = (this.#rows[slot] as number) + (other.#rows[from] as number)
      addAt(this.#counts, slot * this.#layout.bins, other.#counts, from * other.#layout.bins, other.#layout.bins, places)
    }
    if (!other.#entities.complete) this.#entities.leaveOut()
  }

  /** Without an entity in the sample: the totals still count its rows. null: the sample does not have it. */
  without(entity: number): BinnedRows | null {
    if (this.#entities.slotOf(entity) < 0) return null
    const { bins } = this.#layout
    const rest = new BinnedRows(this.#layout)
    rest.#totals.set(this.#totals)
    for (const each of this.#entities.hashes()) {
      if (each === entity) continue
      const [slot, from] = [rest.#slot(each), this.#entities.slotOf(each)]
      rest.#rows[slot] = this.#rows[from] as number
      rest.#counts.set(this.#counts.subarray(from * bins, (from + 1) * bins), slot * bins)
    }
    if (!this.#entities.complete) rest.#entities.leaveOut()
    return rest
  }

  /** By column. One has several entries if its bins changed meanwhile, and none if it has no bins. */
  columns(): Map<string, ColumnBinCounts[]> {
    const found = new Map<string, ColumnBinCounts[]>()
    for (const { column, binsId, bins, from } of this.#layout.columns) {
      const entries = found.get(column) ?? []
      found.set(column, entries)
      if (bins === 0) continue
      const sums = createEntitySums(bins)
      for (const entity of this.#entities.hashes()) {
        const at = this.#entities.slotOf(entity) * this.#layout.bins + from
        addEntityCounts(sums, this.#counts.subarray(at, at + bins))
      }
      const counts = [...this.#totals.subarray(from, from + bins)]
      entries.push({ binsId, counts, sums })
    }
    return found
  }

  encode(writer: ByteWriter): void {
    const { bins } = this.#layout
    encodeLayout(this.#layout, writer)
    encodeCounts(writer, this.#totals, 0, bins)
    writer.byte(this.#entities.complete ? 1 : 0)
    writer.uint(this.#entities.count)
    let before = 0
    for (const entity of this.#entities.hashes()) {
      writer.uint(entity - before)
      before = entity
      const slot = this.#entities.slotOf(entity)
      writer.uint(this.#rows[slot] as number)
      encodeCounts(writer, this.#counts, slot * bins, bins)
    }
  }

  static decode(reader: ByteReader): BinnedRows {
    const binned = new BinnedRows(decodeLayout(reader))
    const { bins } = binned.#layout
    decodeCounts(reader, binned.#totals, 0)
    const complete = reader.byte() === 1
    let entity = 0
    for (let left = reader.uint(); left > 0; left--) {
      entity += reader.uint()
      const slot = binned.#slot(entity)
      binned.#rows[slot] = reader.uint()
      decodeCounts(reader, binned.#counts, slot * bins)
    }
    if (!complete) binned.#entities.leaveOut()
    return binned
  }

  #slot(entity: number): number {
    const slot = this.#entities.offer(entity, this.#clear)
    const needed = (slot + 1) * this.#layout.bins
    if (needed > this.#counts.length) {
      const grown = new Float64Array(Math.min(maxEntities * this.#layout.bins, needed * 2))
      grown.set(this.#counts)
      this.#counts = grown
    }
    return slot
  }

  #widen(layout: BinLayout): void {
    if (layout === this.#layout) return
    const [before, totals, counts] = [this.#layout, this.#totals, this.#counts]
    const places = placesIn(layout, before)
    this.#layout = layout
    this.#totals = new Float64Array(layout.bins)
    this.#counts = new Float64Array(layout.bins * Math.max(1, this.#entities.count))
    addAt(this.#totals, 0, totals, 0, before.bins, places)
    for (let slot = 0; slot < this.#entities.count; slot++)
      addAt(this.#counts, slot * layout.bins, counts, slot * before.bins, before.bins, places)
  }
}

/** @param places of each bin of `from`, its place in `into`; null: the same */
function addAt(into: Float64Array, at: number, from: Float64Array, start: number, bins: number, places: Int32Array | null): void {
  for (let bin = 0; bin < bins; bin++) {
    const count = from[start + bin] as number
    if (count === 0) continue
    const place = at + (places === null ? bin : (places[bin] as number))
    into[place] = (into[place] as number) + count
  }
}

/** Writes the bins that are not 0: for each its distance from the one before, and its count. */
function encodeCounts(writer: ByteWriter, counts: Float64Array, at: number, bins: number): void {
  let used = 0
  for (let bin = 0; bin < bins; bin++) if (counts[at + bin] !== 0) used++
  writer.uint(used)
  let before = 0
  for (let bin = 0; bin < bins; bin++) {
    const count = counts[at + bin] as number
    if (count === 0) continue
    writer.uint(bin - before)
    writer.uint(count)
    before = bin
  }
}

function decodeCounts(reader: ByteReader, counts: Float64Array, at: number): void {
  let bin = at
  for (let used = reader.uint(); used > 0; used--) {
    bin += reader.uint()
    counts[bin] = reader.uint()
  }
}
