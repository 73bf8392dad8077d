/** The greatest few of what is added, in an order. */
export class GreatestRows<Row> {
  readonly capacity: number
  readonly #isBefore: (a: Row, b: Row) => boolean
  /** Greatest first. */
  readonly #rows: Row[] = []

  /** @param isBefore whether `a` is less than `b` */
  constructor(capacity: number, isBefore: (a: Row, b: Row) => boolean) {
    this.capacity = capacity
    this.#isBefore = isBefore
  }

  get list(): readonly Row[] {
    return this.#rows
  }

  add(row: Row): void {
    const rows = this.#rows
    let at = rows.length
    while (at > 0 && this.#isBefore(rows[at - 1] as Row, row)) at--
    if (at >= this.capacity) return
    rows.splice(at, 0, row)
    if (rows.length > this.capacity) rows.pop()
  }
}
