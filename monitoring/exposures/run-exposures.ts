import { randomUUID } from 'node:crypto'
import type { ExposureBatch, UnitRows } from './write-exposures.ts'

const unitsPerBatch = 5000

/** The units of one run that wait to be written. */
export class RunExposures {
  readonly run: number
  /** Names this recording in the database. */
  readonly recorder = randomUUID()
  /** How many units could not be written so far. */
  lost = 0
  /** By variant and unit. */
  readonly #waiting = new Map<string, UnitRows>()
  #batch: ExposureBatch | null = null
  #batches = 0

  constructor(run: number) {
    this.run = run
  }

  /** Counts another row of a unit. @returns false: the unit does not wait */
  count(key: string, at: number): boolean {
    const known = this.#waiting.get(key)
    if (known === undefined) return false
    known.rows++
    known.lastAt = Math.max(known.lastAt, at)
    return true
  }

  add(key: string, rows: UnitRows): void {
    this.#waiting.set(key, rows)
  }

  /**
   * The batch to write: the last one again, until it has ended.
   *
   * @param counts whether a new batch has the units too that were written before
   * @returns null: there is nothing to write
   */
  nextBatch(counts: boolean): ExposureBatch | null {
    return (this.#batch ??= this.#takeBatch(counts))
  }

  /** The batch was written, or refused. */
  endBatch(): void {
    this.#batch = null
  }

  #takeBatch(counts: boolean): ExposureBatch | null {
    const taken: [string, UnitRows][] = []
    for (const entry of this.#waiting) {
      if (!counts && entry[1].first === null) continue
      taken.push(entry)
      if (taken.length === unitsPerBatch) break
    }
    if (taken.length === 0) return null
    for (const [key] of taken) this.#waiting.delete(key)
    const units = taken.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, each]) => each)
    return { run: this.run, recorder: this.recorder, lost: this.lost, number: ++this.#batches, units }
  }

  /** All that is not written. */
  units(): UnitRows[] {
    return [...(this.#batch?.units ?? []), ...this.#waiting.values()]
  }

  /** Whether no unit waits for a batch. */
  get isEmpty(): boolean {
    return this.#waiting.size === 0
  }
}
