import type { Database } from '../../runtime/postgres/database.ts'
import { storeProfile } from '../profile/column-profile.ts'
import type { TrainingProfile } from './training-profile.ts'

/** Stores the baseline of a training set beside the set's record, in place of an earlier one. */
export async function storeTrainingBaseline(
  handle: Database['kysely'],
  dataset: string,
  { rows, sampledRows, entities, columns, sample }: TrainingProfile,
): Promise<void> {
  const values = {
    dataset,
    origin: JSON.stringify({ kind: 'training set', dataset }),
    rows,
    sampled_rows: sampledRows,
    entities,
    columns: JSON.stringify(columns.map((column) => ({ ...storeProfile(column), statuses: column.statuses }))),
    sample,
  }
  await handle.deleteFrom('lockstep.baselines').where('dataset', '=', dataset).execute()
  await handle.insertInto('lockstep.baselines').values(values).execute()
}
