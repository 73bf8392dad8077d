/**
 * The `size` smallest of all hashes that were offered, each with a slot of its own. What is kept in slots merges
 * exactly: a hash that is among the smallest of a union is among the smallest of each part that has it, so each part
 * has kept all of it.
 */
export class SmallestHashes {
  readonly #size: number
  /** Ascending. */
  readonly #hashes: Float64Array
  readonly #slots = new Map<number, number>()
  #count = 0
  #complete = true

  constructor(size: number) {
    this.#size = size
    this.#hashes = new Float64Array(size)
  }

  get count(): number {
    return this.#count
  }

  /** Whether no hash was ever left out. */
  get complete(): boolean {
    return this.#complete
  }

  /** Ascending. */
  hashes(): Float64Array {
    return this.#hashes.subarray(0, this.#count)
  }

  slotOf(hash: number): number {
    return this.#slots.get(hash) ?? -1
  }

  /** The slot of a hash that is kept, a slot for one that has just come in, or -1: it is not among the smallest. */
  offer(hash: number, onEvicted: (slot: number, hash: number) => void): number {
    const full = this.#count === this.#size
    if (full && hash > (this.#hashes[this.#count - 1] as number)) {
      this.#complete = false
      return -1
    }
    return this.#slots.get(hash) ?? this.#insert(hash, onEvicted)
  }

  /** Says that hashes were left out elsewhere. */
  leaveOut(): void {
    this.#complete = false
  }

  #insert(hash: number, onEvicted: (slot: number, hash: number) => void): number {
    let slot = this.#count
    if (this.#count === this.#size) {
      const greatest = this.#hashes[this.#count - 1] as number
      slot = this.#slots.get(greatest) as number
      this.#slots.delete(greatest)
      this.#complete = false
      onEvicted(slot, greatest)
    } else this.#count++
    let at = this.#count - 1
    for (; at > 0 && (this.#hashes[at - 1] as number) > hash; at--) this.#hashes[at] = this.#hashes[at - 1] as number
    this.#hashes[at] = hash
    this.#slots.set(hash, slot)
    return slot
  }
}
