import type { Context } from '../../cli/context.ts'
import { createJoinProgress } from '../../cli/join-progress.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { predictSpine } from '../../serving/predict/predict-spine.ts'
import { auc } from './auc.ts'

export interface Evaluation {
  readonly flights: number
  readonly late: number
  readonly auc: number
  readonly seconds: number
}

const juneFlights = 25_000

/** SQL of a spine of flights of June, with the label `late`. */
export async function juneSpine(db: Database): Promise<string> {
  const june = `flights where date >= timestamp '2001-06-01'`
  const [row] = await db.query<{ rows: string }>(`select count(*) as rows from ${june}`)
  const stride = Math.max(1, Math.floor(Number(row?.rows) / juneFlights))
  return `select date, origin, destination, distance, delay > 15 as late from ${june} and _row % ${stride} = 0`
}

/**
 * Measures how well a version of the model `delay` separates late flights from others, by predictions for every row of
 * a spine with the label `late`.
 */
export async function evaluate(context: Context, spine: string, version: number): Promise<Evaluation> {
  const started = performance.now()
  const bar = createJoinProgress(context.terminal, { join: 'Joining the features', write: 'Predicting' })
  const scores: number[] = []
  const labels: boolean[] = []
  try {
    await predictSpine(
      await context.database(),
      await context.catalog(),
      {
        model: 'delay',
        version,
        spine: { sql: spine },
        // as in training: flights that depart at the same minute do not count each other
        bound: 'before',
        signal: context.signal,
        log: context.log,
        onProgress: (progress) => bar.update(progress),
      },
      (batch) => {
        const probability = batch.predictions[batch.outputs.findIndex(({ name }) => name === 'probability')] ?? []
        const late = batch.spine[batch.columns.findIndex(({ name }) => name === 'late')] ?? []
        for (let row = 0; row < batch.length; row++) {
          scores.push(Number(probability[row] ?? Number.NaN))
          labels.push(late[row] === true)
        }
      },
    )
  } finally {
    bar.end()
  }
  return {
    flights: scores.length,
    late: labels.filter((label) => label).length,
    auc: auc(scores, labels),
    seconds: (performance.now() - started) / 1000,
  }
}
