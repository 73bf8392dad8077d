import type { ServicePlan } from '../kernel/service-plan.ts'
import type { Column, Value, ValueType } from '../kernel/value-type.ts'
import type { Database } from '../runtime/database.ts'
import { carriedColumns } from './carried-columns.ts'
import type { DatasetRecipe } from './dataset-recipe.ts'
import type { DatasetOutput, WrittenFile } from './files/dataset-writer.ts'
import type { JoinProgress, JoinSummary } from './join.ts'
import { joinSpine } from './join.ts'
import type { MissingRequired } from './missing-required.ts'
import { countMissingRequired } from './missing-required.ts'
import { openSpine } from './spine/open-spine.ts'
import { createSpineHash } from './spine/spine-hash.ts'
import type { Spine } from './spine/spine.ts'
import type { ColumnStatistics } from './statistics/column-statistics.ts'
import { collectStatistics } from './statistics/column-statistics.ts'

export interface BuildOptions {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: JoinProgress) => void) | undefined
}

/** What came of a recipe. */
export interface BuiltDataset<Sealed extends WrittenFile> {
  readonly spine: Pick<Spine, 'time' | 'rows' | 'nullKeyRows'> & { readonly sha256: string }
  readonly join: JoinSummary
  readonly missing: MissingRequired
  readonly columns: { readonly spine: readonly Column[]; readonly features: readonly Column<ValueType>[] }
  readonly file: Sealed & { readonly statistics: readonly ColumnStatistics[] }
}

/**
 * Makes a training set as its recipe says: the spine's columns, then the service's features as of each row's moment.
 *
 * @param open makes what the rows are written to; it is sealed in the end, or aborted
 * @throws LockstepError whatever `openSpine`, `joinSpine` and the output throw
 */
export async function buildDataset<Sealed extends WrittenFile>(
  db: Database,
  service: ServicePlan,
  recipe: DatasetRecipe,
  open: (columns: readonly Column<ValueType>[]) => Promise<DatasetOutput<Sealed>>,
  { signal, onProgress }: BuildOptions,
): Promise<BuiltDataset<Sealed>> {
  const spine = await openSpine(db, service, recipe.spine, { time: recipe.time, signal })
  try {
    const carried = carriedColumns(spine, recipe.columns)
    const columns = {
      spine: carried.map((slot) => spine.columns[slot] as Column),
      features: service.features.map(({ name, type }): Column<ValueType> => ({ name, type })),
    }
    const all = [...columns.spine, ...columns.features]
    const output = await open(all)
    try {
      const hash = createSpineHash(spine)
      const missing = countMissingRequired(service)
      const statistics = collectStatistics(all)
      const { rule, asOf, knownBefore, arrivedBefore } = recipe
      const joining = { rule, bound: asOf, knownBefore, arrivedBefore, ...(signal && { signal }), ...(onProgress && { onProgress }) }
      const join = await joinSpine(db, service, spine, joining, async (batch) => {
        hash.update(batch.length, batch.spine)
        missing.update(batch.missing)
        const every = [...carried.map((slot) => batch.spine[slot] as Values), ...batch.values]
        const data = recipe.dropIncomplete ? completeRows(every, batch.missing) : every
        statistics.update(data)
        await output.write(data)
      })
      const file = { ...(await output.seal()), statistics: statistics.result() }
      const { time, rows, nullKeyRows } = spine
      return { spine: { time, rows, nullKeyRows, sha256: hash.digest() }, join, missing, columns, file }
    } catch (error) {
      await output.abort()
      throw error
    }
  } finally {
    // a table that cannot be dropped now is dropped by the next run
    await spine.drop().catch(() => undefined)
  }
}

type Values = readonly (Value | null)[]

function completeRows(data: readonly Values[], missing: readonly (readonly string[])[]): readonly Values[] {
  if (missing.every((names) => names.length === 0)) return data
  return data.map((column) => column.filter((_, row) => missing[row]?.length === 0))
}
