/** Estimates the time of a model's next runs from its past runs. */
export interface LatencyEstimator {
  note(rows: number, ms: number): void
  /**
   * The expected time of a run with this many rows: `a * rows + b`, fitted to the noted runs. 0 while nothing is known.
   */
  predictMs(rows: number): number
  /**
   * The run size with the least time per row among sizes whose run stays within `budgetMs`; at least 1. If the next
   * larger size has not been tried, it is returned when its expected time fits.
   */
  bestRows(budgetMs: number): number
}

/** The cost of a run: milliseconds per row, and milliseconds per run. */
interface Line {
  readonly perRow: number
  readonly perRun: number
}

/** The largest run. Larger runs showed no measurable gain per row. */
export const maxRunRows = 256

/** Sizes are grouped by powers of two: 1, 2, 3 to 4, 5 to 8, …, and one group above the largest. */
const slots = Math.log2(maxRunRows) + 2

/**
 * How fast an estimate follows slower runs. It is slow because noise (other processes, garbage collection) only ever
 * adds time.
 */
const rise = 0.02
const drift = 0.1

/**
 * Keeps one estimate per run size: a slowly rising minimum. The best size can be well below the largest, because large
 * tree models outgrow the processor's cache.
 */
export function createLatencyEstimator(): LatencyEstimator {
  const rowsOf = new Float64Array(slots)
  const msOf = new Float64Array(slots)
  /** Cached fit, because it is read many times between two runs; null: not computed yet. */
  let line: Line | null = null
  let best: { readonly budgetMs: number; readonly rows: number } | null = null

  function known(slot: number): boolean {
    return (rowsOf[slot] ?? 0) > 0
  }

  function fitted(): Line {
    let [count, sumN, sumT, sumNN, sumNT] = [0, 0, 0, 0, 0]
    for (let slot = 0; slot < slots; slot++) {
      const [n = 0, t = 0] = [rowsOf[slot], msOf[slot]]
      if (n === 0) continue
      count++
      sumN += n
      sumT += t
      sumNN += n * n
      sumNT += n * t
    }
    if (count === 0) return { perRow: 0, perRun: 0 }
    const spread = count * sumNN - sumN * sumN
    const perRow = Math.max(0, spread > 0 ? (count * sumNT - sumN * sumT) / spread : sumT / sumN)
    return { perRow, perRun: Math.max(0, (sumT - perRow * sumN) / count) }
  }

  function bestOf(budgetMs: number): number {
    let slotOfBest = -1
    let least = Number.POSITIVE_INFINITY
    for (let slot = 0; slot < slots - 1; slot++) {
      if (!known(slot)) continue
      const [n = 1, t = 0] = [rowsOf[slot], msOf[slot]]
      if (t > budgetMs && slot > 0) continue
      if (t / n > least) continue
      slotOfBest = slot
      least = t / n
    }
    if (slotOfBest === -1) return untriedRows
    const next = slotOfBest + 1
    const worthATry = next < slots - 1 && !known(next) && least * 2 ** next < budgetMs
    return 2 ** (worthATry ? next : slotOfBest)
  }

  return {
    note(rows, ms) {
      line = null
      best = null
      const slot = Math.min(slots - 1, 32 - Math.clz32(rows - 1))
      const [meanRows = 0, before = 0] = [rowsOf[slot], msOf[slot]]
      if (meanRows === 0) {
        rowsOf[slot] = rows
        msOf[slot] = ms
        return
      }
      rowsOf[slot] = meanRows + (rows - meanRows) * drift
      // scaled by rows, because sizes within a slot differ
      const now = (ms / rows) * meanRows
      msOf[slot] = now < before ? now : before + (now - before) * rise
    },
    predictMs(rows) {
      const { perRow, perRun } = (line ??= fitted())
      return perRow * rows + perRun
    },
    bestRows(budgetMs) {
      if (best?.budgetMs !== budgetMs) best = { budgetMs, rows: bestOf(budgetMs) }
      return best.rows
    },
  }
}

/** The run size while nothing is known. */
const untriedRows = 32

const minBudgetMs = 5
const budgetRowTimes = 2
const maxBudgetShare = 0.25

/**
 * How long a batched run in a subprocess may take, milliseconds: 5 ms or twice the time of one row in the trial,
 * whichever is greater, but at most a quarter of the timeout. A request that arrives just after a run began waits for
 * about one row's time anyway.
 */
export function subprocessBudgetMs(rowMs: number, timeoutMs: number): number {
  return Math.min(timeoutMs * maxBudgetShare, Math.max(minBudgetMs, budgetRowTimes * rowMs))
}
