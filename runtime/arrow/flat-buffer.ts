/**
 * A field of a table: a scalar of a size in bytes, or a reference to something that is written later. null: it is
 * absent, so it has its default.
 */
export type FlatField = { readonly size: 1 | 2 | 4 | 8; readonly value: number } | 'ref' | null

/**
 * Writes a FlatBuffer front to back (https://flatbuffers.dev/internals/): references are positions that are filled in
 * once what they refer to is written, which must be after them.
 */
export class FlatBuffer {
  #bytes = new Uint8Array(1024)
  #view = new DataView(this.#bytes.buffer)
  #length = 0

  /** What was written. It is only valid until more is written. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  /** The place of the reference to the root table, with which a buffer begins. */
  root(): number {
    return this.#reserve(4)
  }

  /**
   * Writes a table.
   *
   * @param ref the place of the reference to it
   * @returns the places of its own references, in their order
   */
  table(ref: number, fields: readonly FlatField[]): number[] {
    this.#align(2)
    const vtable = this.#reserve(4 + 2 * fields.length)
    this.#align(8)
    const table = this.#reserve(4)
    this.#refer(ref, table)
    this.#view.setInt32(table, table - vtable, true)
    const refs: number[] = []
    for (const [f, field] of fields.entries()) {
      if (field === null) continue
      const size = field === 'ref' ? 4 : field.size
      this.#align(size)
      const at = this.#reserve(size)
      this.#view.setUint16(vtable + 4 + 2 * f, at - table, true)
      if (field === 'ref') refs.push(at)
      else this.#set(at, size, field.value)
    }
    this.#view.setUint16(vtable, 4 + 2 * fields.length, true)
    this.#view.setUint16(vtable + 2, this.#length - table, true)
    return refs
  }

  text(ref: number, text: string): void {
    const bytes = new TextEncoder().encode(text)
    this.#vector(ref, bytes.length, 4)
    const from = this.#reserve(bytes.length + 1) // ends with a zero
    this.#bytes.set(bytes, from)
  }

  /** Writes a vector of references, and returns their places. */
  references(ref: number, count: number): number[] {
    this.#vector(ref, count, 4)
    const from = this.#reserve(4 * count)
    return Array.from({ length: count }, (_, i) => from + 4 * i)
  }

  /** Writes a vector of structs, each of two int64. */
  pairs(ref: number, numbers: readonly number[]): void {
    this.#vector(ref, numbers.length / 2, 8)
    let at = this.#reserve(8 * numbers.length)
    for (const number of numbers) {
      this.#set(at, 8, number)
      at += 8
    }
  }

  /** Begins a vector whose elements are aligned to so many bytes. */
  #vector(ref: number, count: number, align: 4 | 8): void {
    this.#align(4)
    if ((this.#length + 4) % align !== 0) this.#reserve(4)
    const at = this.#reserve(4)
    this.#refer(ref, at)
    this.#view.setUint32(at, count, true)
  }

  #refer(ref: number, to: number): void {
    this.#view.setUint32(ref, to - ref, true)
  }

  #set(at: number, size: 1 | 2 | 4 | 8, value: number): void {
    if (size === 1) this.#view.setUint8(at, value)
    else if (size === 2) this.#view.setInt16(at, value, true)
    else {
      this.#view.setInt32(at, value, true)
      if (size === 8) this.#view.setInt32(at + 4, Math.floor(value / 2 ** 32), true)
    }
  }

  #align(to: number): void {
    const over = this.#length % to
    if (over > 0) this.#reserve(to - over)
  }

  /** The place of that many zeros. */
  #reserve(count: number): number {
    const at = this.#length
    this.#length += count
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length))
      grown.set(this.#bytes)
      this.#bytes = grown
      this.#view = new DataView(grown.buffer)
    }
    return at
  }
}
