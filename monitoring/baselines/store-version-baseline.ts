import { storeProfile } from '../../offline/profile/column-profile.ts'
import type { TrainingColumn } from '../../offline/datasets/training-profile.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { BaselineOrigin } from './baseline.ts'
import type { FeatureEffects } from './feature-effects.ts'

export interface VersionBaseline {
  readonly origin: BaselineOrigin
  readonly rows: number
  readonly sampledRows: number
  readonly entities: number
  readonly effects: FeatureEffects | null
  readonly columns: readonly TrainingColumn[]
}

/** Stores what a version's own rows say, in place of an earlier one. */
export async function storeVersionBaseline(
  db: Database,
  model: string,
  version: number,
  { origin, rows, sampledRows, entities, effects, columns }: VersionBaseline,
): Promise<void> {
  await db.kysely.transaction().execute(async (transaction) => {
    await transaction.deleteFrom('lockstep.baselines').where('model', '=', model).where('version', '=', version).execute()
    await transaction
      .insertInto('lockstep.baselines')
      .values({
        model,
        version,
        origin: JSON.stringify(origin),
        rows,
        sampled_rows: sampledRows,
        entities,
        effects: effects === null ? null : JSON.stringify(effects),
        columns: JSON.stringify(columns.map((column) => ({ ...storeProfile(column), statuses: column.statuses }))),
      })
      .execute()
  })
}
