import type { Status } from '../../kernel/states/state.ts'
import type { Value } from '../../kernel/values/value-type.ts'

/**
 * A uniform sample of rows, by column, in the order of the hashes that chose them: its first rows are a smaller uniform
 * sample.
 */
export interface RowSample {
  /** How many rows it was drawn from. */
  readonly rows: number
  /** By key, then by sampled row. Rows with the same text are of one entity. */
  readonly entities: readonly (readonly string[])[]
  /** By index of the columns, then by sampled row. */
  readonly columns: readonly Values[]
}

type Values = readonly (Value | null)[]

const maxSampledRows = 50_000
const minSampledRows = 2_000
const maxSampledValues = 4_000_000
/** More than the rows that are kept at once. A hash and the place of a row then fit into one number. */
const places = 2 ** 21

/**
 * Draws a uniform sample of rows in one pass: those whose numbers have the smallest hashes, so the same rows give the
 * same sample. It holds at most 50,000 rows, and fewer where they have more than 80 columns.
 */
export class RowSampler {
  readonly #max: number
  readonly #statuses: readonly Float64Array[]
  /** The kept rows, by column. The garbage collector does not look into arrays of numbers, as it would into rows. */
  #hashes: number[] = []
  #entities: string[][]
  #columns: (Value | null)[][]
  #rows = 0
  /** The greatest hash that can still be among the smallest. */
  #limit = 2 ** 32

  /**
   * @param statuses how many statuses there are, of which every row's are counted
   * @param keys how many keys each row has
   */
  constructor(columns: number, statuses: number, keys: number, maxRows = maxRowsOf(columns)) {
    this.#max = maxRows
    this.#entities = Array.from({ length: keys }, () => [])
    this.#columns = Array.from({ length: columns }, () => [])
    this.#statuses = Array.from({ length: columns }, () => new Float64Array(statuses))
  }

  /**
   * @param values by column, consecutive rows
   * @param statuses as `values`
   * @param keys by key: its columns. A row with a null in it is an entity of its own
   */
  update(values: readonly Values[], statuses: readonly (readonly Status[])[], keys: readonly (readonly Values[])[], length: number): void {
    for (const [c, counts] of this.#statuses.entries()) {
      const column = statuses[c] as readonly Status[]
      for (let i = 0; i < length; i++) counts[column[i] as Status] = (counts[column[i] as Status] as number) + 1
    }
    const chosen: number[] = []
    for (let i = 0; i < length; i++) {
      const number = this.#rows++
      const hash = mix(number)
      if (hash > this.#limit) continue
      chosen.push(i)
      this.#hashes.push(hash)
      for (const [k, columns] of keys.entries()) {
        const key = columns.map((column) => column[i] ?? null)
        this.#entities[k]?.push(key.length === 0 || key.includes(null) ? `row ${number}` : key.map(String).join('\0'))
      }
    }
    for (const [c, kept] of this.#columns.entries()) {
      const column = values[c] as Values
      for (const i of chosen) kept.push(column[i] ?? null)
    }
    if (this.#hashes.length >= 2 * this.#max) this.#shrink()
  }

  /** The statuses of all rows, by column and status. */
  get statuses(): readonly Float64Array[] {
    return this.#statuses
  }

  result(): RowSample {
    this.#shrink()
    return { rows: this.#rows, entities: this.#entities, columns: this.#columns }
  }

  #shrink(): void {
    const ordered = Float64Array.from(this.#hashes, (hash, place) => hash * places + place)
      .sort()
      .subarray(0, this.#max)
    if (this.#hashes.length > this.#max) this.#limit = Math.floor((ordered.at(-1) as number) / places)
    const chosen = Array.from(ordered, (each) => each % places)
    this.#hashes = Array.from(ordered, (each) => Math.floor(each / places))
    this.#entities = this.#entities.map((key) => chosen.map((place) => key[place] as string))
    this.#columns = this.#columns.map((column) => chosen.map((place) => column[place] as Value | null))
  }
}

function maxRowsOf(columns: number): number {
  return Math.min(maxSampledRows, Math.max(minSampledRows, Math.floor(maxSampledValues / Math.max(1, columns))))
}

/** A permutation of 32-bit numbers without visible order (MurmurHash3's finalizer; Appleby, 2011). */
function mix(number: number): number {
  let hash = number | 0
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
