import { LockstepError } from '../../kernel/errors.ts'
import { asRecord } from '../../kernel/is-record.ts'
import { parseTimestamp } from '../../kernel/values/time.ts'
import { listPredictions } from '../../monitoring/prediction-log/read-predictions.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { ReadExplanation } from './explain.ts'
import { explain } from './explain.ts'

/**
 * Explains the features of a logged prediction: of its service and entity, as of its moment.
 *
 * @throws LockstepError `INVALID_REQUEST` where the log has no such prediction, and what `explain` throws
 */
export async function explainPrediction(
  db: Pick<Database, 'query'>,
  catalog: Catalog,
  read: ReadExplanation,
  { prediction: id, maxRows }: { readonly prediction: string; readonly maxRows: number },
) {
  const [row] = await listPredictions(db, { since: 0, predictionId: id, limit: 1 })
  if (row === undefined) {
    throw new LockstepError(
      'INVALID_REQUEST',
      `The prediction log has no prediction "${id}". It may never have been logged, or be older than the log keeps; "lockstep predictions list" lists what is logged.`,
      { details: { prediction: id } },
    )
  }
  const { model, version, at, service, outputs, features } = row
  const explained = await explain(catalog, read, { service, entity: asRecord(row.keys), asOf: parseTimestamp(row.asOf), maxRows })
  return { prediction: { id, model, version, at, outputs, features }, ...explained }
}
