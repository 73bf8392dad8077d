import { createHash } from 'node:crypto'
import { LockstepError } from '../../kernel/errors.ts'
import type { StoredProfile } from '../../offline/profile/column-profile.ts'
import { restoreProfile } from '../../offline/profile/column-profile.ts'
import type { TrainingColumn } from '../../offline/datasets/training-profile.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { FeatureEffects } from './feature-effects.ts'

/** The distributions that served features and outputs are compared with. */
export interface Baseline {
  /** Changes when any part of it is recreated. */
  readonly id: string
  readonly model: string | null
  readonly version: number | null
  /** What its columns were made of: first that of the features, then that of the outputs if it is another. */
  readonly origins: readonly BaselineOrigin[]
  readonly rows: number
  /** How many of the rows were counted by bin. */
  readonly sampledRows: number
  /** Distinct ones among the sampled rows, by the key of the service that has most. */
  readonly entities: number
  /** null: not measured. */
  readonly effects: FeatureEffects | null
  /** A feature by its name in the service, an output as `output:NAME`. */
  readonly columns: ReadonlyMap<string, ColumnBaseline>
}

export type BaselineOrigin =
  /** Its features. */
  | { readonly kind: 'training set'; readonly dataset: string }
  /** Predictions of the version for rows of its training set. */
  | { readonly kind: 'training predictions'; readonly dataset: string }
  /** Rows that the version has answered. RFC 3339. */
  | { readonly kind: 'served'; readonly from: string; readonly to: string }

export interface ColumnBaseline extends TrainingColumn {
  /** Equal bins have equal ids, in any baseline. */
  readonly binsId: string
  readonly origin: BaselineOrigin
}

/** A column of a baseline, as it is stored. */
export type StoredColumn = StoredProfile & Pick<TrainingColumn, 'statuses'>

export function outputColumn(output: string): string {
  return `output:${output}`
}

export function isOutputColumn(column: string): boolean {
  return column.startsWith('output:')
}

/** The baseline of a model version: its training set's, and that of its own rows; null: there is none yet. */
export async function baselineOf(db: Database, model: string, version: number): Promise<Baseline | null> {
  const pushed = await db.kysely
    .selectFrom('lockstep.model_versions')
    .select('dataset')
    .where('model', '=', model)
    .where('version', '=', version)
    .executeTakeFirst()
  if (pushed === undefined) return null
  const { dataset } = pushed
  const own = await readStored(db, { model, version })
  // served rows were chosen in place of the training set, if there is one
  const isServed = own.some(({ origin }) => origin.kind === 'served')
  const stored = isServed || dataset === null ? own : [...(await readStored(db, { dataset })), ...own]
  return stored.length === 0 ? null : { ...combine(stored), model, version }
}

/** The versions of a model for which `baselineOf` finds a baseline. */
export async function versionsWithBaseline({ kysely }: Pick<Database, 'kysely'>, model: string): Promise<ReadonlySet<number>> {
  const rows = await kysely
    .selectFrom('lockstep.model_versions as v')
    .select('v.version')
    .where('v.model', '=', model)
    .where(({ exists, selectFrom }) =>
      exists(
        selectFrom('lockstep.baselines as b')
          .select('b.id')
          .where(({ and, eb, or, ref }) =>
            or([and([eb('b.model', '=', ref('v.model')), eb('b.version', '=', ref('v.version'))]), eb('b.dataset', '=', ref('v.dataset'))]),
          ),
      ),
    )
    .execute()
  return new Set(rows.map(({ version }) => version))
}

/** @throws LockstepError `BASELINE_MISSING` saying how to make one */
export async function requireBaseline(db: Database, model: string, version: number): Promise<Baseline> {
  const found = await baselineOf(db, model, version)
  if (found !== null) return found
  throw new LockstepError(
    'BASELINE_MISSING',
    `The model version "${model}@${version}" has no baseline. Every comparison needs one, because served values are counted over its bins. "lockstep baseline create ${model}@${version}" makes one of its training set, or of its served rows.`,
    { details: { model, version } },
  )
}

/** The baseline of a training set; null: it has none. */
export async function datasetBaseline(db: Database, dataset: string): Promise<Baseline | null> {
  const stored = await readStored(db, { dataset })
  return stored.length === 0 ? null : { ...combine(stored), model: null, version: null }
}

interface StoredBaseline {
  readonly id: string
  readonly origin: BaselineOrigin
  readonly rows: number
  readonly sampledRows: number
  readonly entities: number
  readonly effects: FeatureEffects | null
  readonly columns: readonly StoredColumn[]
}

async function readStored(
  db: Database,
  of: { readonly dataset: string } | { readonly model: string; readonly version: number },
): Promise<StoredBaseline[]> {
  const query = db.kysely
    .selectFrom('lockstep.baselines')
    .select(['id', 'origin', 'rows', 'sampled_rows', 'entities', 'effects', 'columns'])
  const rows = await (
    'dataset' in of ? query.where('dataset', '=', of.dataset) : query.where('model', '=', of.model).where('version', '=', of.version)
  ).execute()
  return rows.map(({ id, origin, rows: count, sampled_rows: sampledRows, entities, effects, columns }) => ({
    id,
    // only storeTrainingBaseline and storeVersionBaseline write these
    origin: origin as BaselineOrigin,
    rows: Number(count),
    sampledRows,
    entities,
    effects: effects as FeatureEffects | null,
    columns: columns as StoredColumn[],
  }))
}

function combine(stored: readonly StoredBaseline[]): Omit<Baseline, 'model' | 'version'> {
  const columns = new Map<string, ColumnBaseline>()
  for (const { origin, columns: own } of stored) {
    for (const column of own) {
      const { statuses } = column
      columns.set(column.name, { ...restoreProfile(column), statuses, binsId: binsId(column), origin })
    }
  }
  const [first] = stored as [StoredBaseline]
  const { rows, sampledRows, entities } = first
  return {
    id: stored.map(({ id }) => id).join('+'),
    origins: stored.map(({ origin }) => origin),
    rows,
    sampledRows,
    entities,
    effects: stored.find(({ effects }) => effects !== null)?.effects ?? null,
    columns,
  }
}

function binsId({ bins }: Pick<StoredColumn, 'bins'>): string {
  return createHash('sha256').update(JSON.stringify(bins)).digest('hex').slice(0, 16)
}
