/** What a model's runs have taken, and what that says of runs to come. */
export interface LatencyEstimator {
  note(rows: number, ms: number): void
  /** How long one run of so many rows takes: `a * rows + b`, fitted to what was noted. 0 while nothing is known. */
  predictMs(rows: number): number
  /**
   * The rows of one run that take the least time each, among sizes whose run stays within `budgetMs`: 1 at least. A size that has not been tried yet
   * counts as worth a try where the one below it is the best so far.
   */
  bestRows(budgetMs: number): number
}

/** What a run takes: milliseconds for each of its rows, and for it. */
interface Line {
  readonly perRow: number
  readonly perRun: number
}

/** The largest run: beyond it a row gains nothing that could be measured. */
export const maxRunRows = 256

/** Sizes are told apart by powers of two: 1, 2, 3 to 4, 5 to 8, … and more than the largest together. */
const slots = Math.log2(maxRunRows) + 2

/** How fast an estimate follows runs that took longer: slowly, as what is around a run (other processes, collected garbage) only ever adds to it. */
const rise = 0.02
const drift = 0.1

/**
 * Run times by size. An estimate is a slowly rising minimum. The best size can be well below the largest: trees walk out of the processor's cache.
 */
export function createLatencyEstimator(): LatencyEstimator {
  const rowsOf = new Float64Array(slots)
  const msOf = new Float64Array(slots)
  /** Of what is noted so far, as it is asked for between two runs many times; null: not made yet. */
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
      // by the row, as sizes within a slot differ
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

/** Where nothing is known yet. */
const untriedRows = 32

const minBudgetMs = 5
const budgetRowTimes = 2
const maxBudgetShare = 0.25

/**
 * How long one run in a process of its own may take for the sake of cheaper rows, milliseconds: 5, or twice what a row took in the trial, as who comes a moment later waits for that anyway; and never
 * more than a quarter of what a run may take at all.
 */
export function subprocessBudgetMs(rowMs: number, timeoutMs: number): number {
  return Math.min(timeoutMs * maxBudgetShare, Math.max(minBudgetMs, budgetRowTimes * rowMs))
}
