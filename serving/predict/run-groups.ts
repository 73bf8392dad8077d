import type { Prediction } from '../../inference/load-model.ts'
import type { FeatureRow } from '../../inference/tensor-writer.ts'

/** Rows that one model version predicts. */
export interface RowGroup {
  readonly model: { predict(rows: readonly FeatureRow[]): Promise<readonly Prediction[]> }
  /** Indexes of the rows among all rows. */
  readonly rows: readonly number[]
  /** The features, by index of `rows`. */
  readonly read: { readonly rows: readonly FeatureRow[] }
}

/**
 * Runs each version on its rows, and puts the predictions in the order of all rows.
 *
 * @param total how many rows there are. A row that is in no group has no prediction: null.
 * @param onFailed which of several groups failed
 * @param endedMs gets when each of several groups ended, by `performance.now()`
 * @throws LockstepError what the models throw
 */
export function runGroups(
  groups: readonly RowGroup[],
  total: number,
  onFailed: (group: number) => void = () => undefined,
  endedMs: number[] = [],
): Promise<readonly (Prediction | null)[]> {
  const [first] = groups
  if (first !== undefined && first.rows.length === total) return first.model.predict(first.read.rows)
  return runSeveral(groups, total, onFailed, endedMs)
}

async function runSeveral(
  groups: readonly RowGroup[],
  total: number,
  onFailed: (group: number) => void,
  endedMs: number[],
): Promise<readonly (Prediction | null)[]> {
  const run = async ({ model, read }: RowGroup, g: number) => {
    const predictions = await model.predict(read.rows)
    endedMs[g] = performance.now()
    return predictions
  }
  const answers = await runEach(groups, run, onFailed)
  const predictions = new Array<Prediction | null>(total).fill(null)
  for (const [g, { rows }] of groups.entries()) {
    for (const [i, row] of rows.entries()) predictions[row] = answers[g]?.[i] ?? null
  }
  return predictions
}

/** As `Promise.all`, and says which of several groups failed. */
export function runEach<G, T>(
  groups: readonly G[],
  run: (group: G, g: number) => Promise<T>,
  onFailed: (group: number) => void,
): Promise<T[]> {
  return Promise.all(
    groups.map(async (group, g) => {
      try {
        return await run(group, g)
      } catch (error) {
        onFailed(g)
        throw error
      }
    }),
  )
}
