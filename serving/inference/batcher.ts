import type { LoadedModel, Prediction } from './load-model.ts'
import type { FeatureRow } from './tensor-writer.ts'

export interface Batcher {
  /** The predictions of these rows, by index. Rows of several callers may share a run. */
  predict(rows: readonly FeatureRow[]): Promise<Prediction[]>
}

/** Rows of one run at most, where the model takes more than one: beyond about this many a run gains little and holds the event loop longer. */
export const rowsPerRun = 128

interface Waiting {
  readonly rows: readonly FeatureRow[]
  readonly resolve: (predictions: Prediction[]) => void
  readonly reject: (error: unknown) => void
}

/**
 * A micro-batcher without a timer: what arrives in one turn of the event loop runs together, and nobody waits for company. While a run blocks
 * the loop, requests pile up in the sockets, so load makes batches by itself.
 *
 * @param onRun told the number of rows of each run
 */
export function createBatcher(model: LoadedModel, onRun: (rows: number) => void): Batcher {
  const maxRows = model.maxRows ?? rowsPerRun
  let waiting: Waiting[] = []

  async function runRows(rows: readonly FeatureRow[]): Promise<Prediction[]> {
    if (rows.length <= maxRows) {
      onRun(rows.length)
      return model.run(rows)
    }
    const predictions: Prediction[] = []
    for (let at = 0; at < rows.length; at += maxRows) {
      const chunk = rows.slice(at, at + maxRows)
      onRun(chunk.length)
      for (const prediction of await model.run(chunk)) predictions.push(prediction)
    }
    return predictions
  }

  async function runAll(callers: readonly Waiting[]): Promise<void> {
    try {
      const predictions = await runRows(callers.flatMap((caller) => caller.rows))
      let at = 0
      for (const caller of callers) caller.resolve(predictions.slice(at, (at += caller.rows.length)))
    } catch (error) {
      // One caller's row may have failed the run of all: each then runs alone and answers for itself.
      if (callers.length === 1) callers[0]?.reject(error)
      else for (const caller of callers) await runAll([caller])
    }
  }

  function flush(): void {
    let rest = waiting
    waiting = []
    while (rest.length > 0) {
      // As many callers as fit into one run; one that alone is longer is split by runRows.
      let count = 0
      let rows = 0
      while (count < rest.length && (count === 0 || rows + (rest[count] as Waiting).rows.length <= maxRows))
        rows += (rest[count++] as Waiting).rows.length
      void runAll(rest.slice(0, count))
      rest = rest.slice(count)
    }
  }

  return {
    predict(rows) {
      return new Promise((resolve, reject) => {
        waiting.push({ rows, resolve, reject })
        if (waiting.length === 1) setImmediate(flush)
      })
    },
  }
}
