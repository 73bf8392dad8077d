import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Column, Value, ValueType } from '../../kernel/values/value-type.ts'
import { carriedColumns } from './carried-columns.ts'
import type { DatasetPart, PartName, SpineRange } from './dataset-parts.ts'
import { rowsOfPart } from './dataset-parts.ts'
import type { DatasetRecipe } from './dataset-recipe.ts'
import type { DatasetOutput, WrittenFile } from '../files/dataset-writer.ts'
import type { JoinProgress, JoinSummary } from '../join.ts'
import type { JoinEngine } from '../join-engine.ts'
import type { MissingRequired } from './missing-required.ts'
import { countMissingRequired } from './missing-required.ts'
import type { SpineDigest } from '../spine/spine-hash.ts'
import { createSpineHash } from '../spine/spine-hash.ts'
import type { Spine } from '../spine/spine.ts'
import type { ColumnStatistics, StatisticsCollector } from '../profile/column-statistics.ts'
import { collectStatistics } from '../profile/column-statistics.ts'
import type { TrainingProfile } from './training-profile.ts'
import { createTrainingProfiler } from './training-profile.ts'

export interface BuildOptions {
  /**
   * Profile the features for a baseline. `statistics`: those of all rows, if the recipe takes only a sample of them.
   * Absent: there is no profile.
   */
  readonly profile?: { readonly statistics?: readonly ColumnStatistics[] }
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: JoinProgress) => void) | undefined
  /** Called once the spine is loaded, before the join. */
  readonly onSpine?: (spine: Spine) => Promise<void>
}

export type BuiltFile<Sealed extends WrittenFile> = Sealed & {
  readonly part: PartName | null
  readonly range: SpineRange | null
  /** None of a range. */
  readonly statistics: readonly ColumnStatistics[]
}

/** A training set that was written by a recipe. */
export interface BuiltDataset<Sealed extends WrittenFile> {
  readonly spine: Pick<Spine, 'time' | 'rows' | 'nullKeyRows'> & SpineDigest
  readonly join: JoinSummary
  readonly missing: MissingRequired
  readonly columns: { readonly spine: readonly Column[]; readonly features: readonly Column<ValueType>[] }
  /** The statistics of all rows of a set in ranges of the spine; null for others, because each file has its own. */
  readonly statistics: readonly ColumnStatistics[] | null
  /** null: not requested. */
  readonly profile: TrainingProfile | null
  /** By index of the recipe's parts. */
  readonly files: readonly BuiltFile<Sealed>[]
}

/**
 * Makes a training set as its recipe says: the spine's columns, then the service's features as of each row's moment.
 *
 * @param open makes what the rows of a part are written to; it is sealed in the end, or aborted
 * @throws LockstepError whatever the engine and the output throw
 */
export async function buildDataset<Sealed extends WrittenFile>(
  engine: JoinEngine,
  service: ServicePlan,
  recipe: DatasetRecipe,
  open: (part: DatasetPart, columns: readonly Column<ValueType>[]) => Promise<DatasetOutput<Sealed>>,
  { signal, onProgress, onSpine, profile }: BuildOptions,
): Promise<BuiltDataset<Sealed>> {
  const { rule, asOf, knownBefore, time, sample, order, columns: named } = recipe
  // a spine of source rows and the features are read one after the other, and must see the same rows
  const arrivedBefore = recipe.arrivedBefore ?? ('rowsOf' in recipe.spine ? await engine.settledNow(signal) : null)
  const seen = { rule, knownBefore, arrivedBefore }
  const spine = await engine.openSpine(service, recipe.spine, { time, carried: named, sample, order, seen, signal })
  try {
    await onSpine?.(spine)
    const carried = carriedColumns(spine, recipe.columns)
    const columns = {
      spine: carried.map((slot) => spine.columns[slot] as Column),
      features: service.features.map(({ name, type }): Column<ValueType> => ({ name, type })),
    }
    const all = [...columns.spine, ...columns.features]
    const outputs: Output<Sealed>[] = []
    try {
      const combined = recipe.parts.some(({ range }) => range !== null) ? collectStatistics(all) : null
      for (const part of recipe.parts)
        outputs.push({ part, rows: await open(part, all), statistics: combined ?? collectStatistics(all), sealed: null })
      let first = 0
      const hash = createSpineHash(spine)
      const missing = countMissingRequired(service)
      const profiler = profile === undefined ? null : createTrainingProfiler(service, spine.columns)
      const joining = {
        rule,
        bound: asOf,
        knownBefore,
        arrivedBefore,
        statuses: profiler !== null,
        ...(signal && { signal }),
        ...(onProgress && { onProgress }),
      }
      const join = await engine.join(service, spine, joining, async (batch) => {
        hash.update(batch.length, batch.spine)
        missing.update(batch.missing)
        const data = [...carried.map((slot) => batch.spine[slot] as Values), ...batch.values]
        const end = first + batch.length
        for (const [number, output] of outputs.entries()) {
          const { part, rows, statistics } = output
          if (part.range !== null && (part.range.from >= end || part.range.to <= first)) continue
          const rowsHere = rowsOfPart(part, first, batch.times, recipe.dropIncomplete ? batch.missing : null)
          const chosen = pick(data, rowsHere)
          statistics.update(chosen)
          if (number === 0 || part.range !== null) profiler?.update(batch, rowsHere)
          await rows.write(chosen)
          // many ranges would hold many rows that wait for more
          if (part.range !== null && part.range.to <= end) output.sealed = await rows.seal()
        }
        first = end
      })
      const files: BuiltFile<Sealed>[] = []
      for (const { part, rows, statistics, sealed } of outputs) {
        const file = sealed ?? (await rows.seal())
        files.push({ ...file, part: part.name, range: part.range, statistics: combined === null ? statistics.result() : [] })
      }
      const { rows, nullKeyRows } = spine
      const statistics = combined?.result() ?? null
      return {
        spine: { time: spine.time, rows, nullKeyRows, ...hash.digest() },
        join,
        missing,
        columns,
        statistics,
        profile: profiler?.result(profile?.statistics ?? statistics ?? files[0]?.statistics ?? []) ?? null,
        files,
      }
    } catch (error) {
      for (const output of outputs) await output.rows.abort()
      throw error
    }
  } finally {
    // a table that cannot be dropped now is dropped by the next run
    await spine.drop().catch(() => undefined)
  }
}

interface Output<Sealed extends WrittenFile> {
  readonly part: DatasetPart
  readonly rows: DatasetOutput<Sealed>
  readonly statistics: StatisticsCollector
  sealed: Sealed | null
}

export type Values = readonly (Value | null)[]

export function pick(data: readonly Values[], rows: readonly number[] | null): readonly Values[] {
  return rows === null ? data : data.map((column) => rows.map((row) => column[row] as Value | null))
}
