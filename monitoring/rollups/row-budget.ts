/**
 * Decides which rows' values are taken: all, up to a budget a second; above it a share of them, chosen at random by the
 * rate of the second before, so that rows at the begin of a second are not preferred. In a second with many more rows
 * than the one before, the share is halved whenever the budget is used up.
 */
export class RowBudget {
  readonly #perSecond: number
  #share = 1
  #secondEndsMs = Number.NEGATIVE_INFINITY
  #seen = 0
  #taken = 0
  #limit: number
  #random = 0x2545f491

  /** @param perSecond at least 1 */
  constructor(perSecond: number) {
    this.#perSecond = perSecond
    this.#limit = perSecond
  }

  /** Call it before the rows of a request. @param nowMs milliseconds of a monotonic clock */
  at(nowMs: number): void {
    if (nowMs < this.#secondEndsMs) return
    const isNext = nowMs < this.#secondEndsMs + 1000
    const expected = isNext ? this.#seen : 0
    this.#share = expected > this.#perSecond ? (0.95 * this.#perSecond) / expected : 1
    this.#secondEndsMs = isNext ? this.#secondEndsMs + 1000 : nowMs + 1000
    this.#seen = 0
    this.#taken = 0
    this.#limit = this.#perSecond
  }

  /** Whether to take the next row. */
  take(): boolean {
    this.#seen++
    if (this.#share < 1 && this.#next() >= this.#share) return false
    if (++this.#taken >= this.#limit) {
      this.#share /= 2
      this.#limit += this.#perSecond / 2
    }
    return true
  }

  /** xorshift32: Marsaglia, "Xorshift RNGs", 2003. */
  #next(): number {
    let x = this.#random
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#random = x
    return (x >>> 0) / 2 ** 32
  }
}
