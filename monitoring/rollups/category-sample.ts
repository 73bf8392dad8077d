import type { ByteReader, ByteWriter } from '../../kernel/values/binary.ts'
import { hashText53 } from '../../kernel/values/hash-text.ts'
import { categoryText } from '../../statistics/column-bins.ts'
import { SmallestHashes } from './smallest-hashes.ts'

/** How many categories are kept. */
const size = 256

export interface CategoryCount {
  readonly value: string
  readonly count: number
}

/**
 * How often each text occurs, exactly: of all texts if there are few, else of those with the smallest hashes, which is
 * a fair sample of the texts. No bounded summary holds the most frequent of any texts and merges exactly.
 */
export class CategorySample {
  readonly #hashes = new SmallestHashes(size)
  #texts: string[] = []
  #counts: number[] = []
  readonly #slots = new Map<string, number>()

  /** Whether no text was left out. */
  get complete(): boolean {
    return this.#hashes.complete
  }

  add(text: string, count = 1): void {
    const category = categoryText(text)
    const slot = this.#slots.get(category) ?? this.#offer(category)
    if (slot >= 0) this.#counts[slot] = (this.#counts[slot] as number) + count
  }

  merge(other: CategorySample): void {
    for (const [text, slot] of other.#slots) this.add(text, other.#counts[slot])
    if (!other.complete) this.#hashes.leaveOut()
  }

  /** Without a text, by its hash; null: the sample does not have it. */
  without(hash: number): CategorySample | null {
    const slot = this.#hashes.slotOf(hash)
    if (slot < 0) return null
    const rest = new CategorySample()
    for (const [text, each] of this.#slots) if (each !== slot) rest.add(text, this.#counts[each])
    rest.#hashes.leaveOut()
    return rest
  }

  /** How often a text that is kept occurs; 0: it is not kept. */
  countOf(text: string): number {
    const slot = this.#slots.get(text)
    return slot === undefined ? 0 : (this.#counts[slot] as number)
  }

  /** The most frequent of those that are kept. */
  top(count: number): CategoryCount[] {
    const all = Array.from(this.#slots, ([value, slot]): CategoryCount => ({ value, count: this.#counts[slot] as number }))
    return all.sort((a, b) => b.count - a.count || (a.value < b.value ? -1 : 1)).slice(0, count)
  }

  encode(writer: ByteWriter): void {
    writer.byte(this.complete ? 1 : 0)
    writer.uint(this.#hashes.count)
    for (const hash of this.#hashes.hashes()) {
      const slot = this.#hashes.slotOf(hash)
      writer.string(this.#texts[slot] as string)
      writer.uint(this.#counts[slot] as number)
    }
  }

  static decode(reader: ByteReader): CategorySample {
    const sample = new CategorySample()
    const complete = reader.byte() === 1
    for (let left = reader.uint(); left > 0; left--) {
      const text = reader.string()
      sample.add(text, reader.uint())
    }
    if (!complete) sample.#hashes.leaveOut()
    return sample
  }

  /** Moves a reader past an encoded sample. */
  static skip(reader: ByteReader): void {
    reader.byte()
    for (let left = reader.uint(); left > 0; left--) {
      reader.skip(reader.uint())
      reader.uint()
    }
  }

  #offer(cut: string): number {
    // the bytes of a text that is not well-formed would read back as another one
    const text = cut.toWellFormed()
    const known = this.#slots.get(text)
    if (known !== undefined) return known
    const slot = this.#hashes.offer(hashText53(text), (evicted) => this.#slots.delete(this.#texts[evicted] as string))
    if (slot < 0) return slot
    this.#texts[slot] = text
    this.#counts[slot] = 0
    this.#slots.set(text, slot)
    return slot
  }
}

/** The hash of a text in samples. */
export function categoryHash(text: string): number {
  return hashText53(categoryText(text).toWellFormed())
}
