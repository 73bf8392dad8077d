/** Reads a table of a FlatBuffer (https://flatbuffers.dev/internals/). A field that is absent has its default. */
export class FlatTable {
  readonly #view: DataView
  readonly #at: number
  readonly #vtable: number
  readonly #size: number

  constructor(view: DataView, at: number) {
    this.#view = view
    this.#at = at
    this.#vtable = at - view.getInt32(at, true)
    this.#size = view.getUint16(this.#vtable, true)
  }

  /** The root table of a buffer. */
  static root(bytes: Uint8Array): FlatTable {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    return new FlatTable(view, view.getUint32(0, true))
  }

  byte(field: number): number {
    const at = this.#place(field)
    return at === 0 ? 0 : this.#view.getUint8(at)
  }

  short(field: number): number {
    const at = this.#place(field)
    return at === 0 ? 0 : this.#view.getInt16(at, true)
  }

  int(field: number): number {
    const at = this.#place(field)
    return at === 0 ? 0 : this.#view.getInt32(at, true)
  }

  /** An int64 that a number holds. */
  long(field: number): number {
    const at = this.#place(field)
    return at === 0 ? 0 : Number(this.#view.getBigInt64(at, true))
  }

  text(field: number): string {
    const at = this.#target(field)
    if (at === 0) return ''
    const length = this.#view.getUint32(at, true)
    return Buffer.from(this.#view.buffer, this.#view.byteOffset + at + 4, length).toString()
  }

  table(field: number): FlatTable | null {
    const at = this.#target(field)
    return at === 0 ? null : new FlatTable(this.#view, at)
  }

  tables(field: number): FlatTable[] {
    const at = this.#target(field)
    const length = at === 0 ? 0 : this.#view.getUint32(at, true)
    return Array.from({ length }, (_, i) => {
      const place = at + 4 + 4 * i
      return new FlatTable(this.#view, place + this.#view.getUint32(place, true))
    })
  }

  /** A vector of structs, each of two int64. */
  pairs(field: number): number[] {
    const at = this.#target(field)
    const length = at === 0 ? 0 : 2 * this.#view.getUint32(at, true)
    return Array.from({ length }, (_, i) => Number(this.#view.getBigInt64(at + 4 + 8 * i, true)))
  }

  #place(field: number): number {
    const entry = 4 + 2 * field
    const offset = entry < this.#size ? this.#view.getUint16(this.#vtable + entry, true) : 0
    return offset === 0 ? 0 : this.#at + offset
  }

  #target(field: number): number {
    const at = this.#place(field)
    return at === 0 ? 0 : at + this.#view.getUint32(at, true)
  }
}
