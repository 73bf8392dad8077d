import type { Catalog } from '../../registry/catalog.ts'
import type { ExperimentRun } from '../../registry/experiments/experiment.ts'
import { keepsUnits, readKeptUnits } from '../../registry/experiments/kept-units.ts'
import type { Database } from '../../runtime/database.ts'
import type { Slice } from '../../statistics/assign.ts'

/** Units that keep their variants while the shares of an experiment follow its results. */
export interface KeptUnits {
  /**
   * Reads the units of a catalog that is about to be in force, if shares have changed. For half a minute after a change
   * it also reads those whose exposures were written late.
   */
  load(db: Pick<Database, 'query'>, catalog: Catalog): Promise<void>
}

interface Kept {
  readonly slices: readonly Slice[]
  /** Variants by unit. */
  readonly units: Map<string, string>
  readonly readAtMs: number
}

const lateMs = 30_000

const keptOf = new WeakMap<ExperimentRun, ReadonlyMap<string, string>>()

/** Variants by unit, of the units that do not have the variant of their place; null: there are none. */
export function variantsKept(run: ExperimentRun): ReadonlyMap<string, string> | null {
  return keptOf.get(run) ?? null
}

/** @param now milliseconds of a monotonic clock */
export function createKeptUnits(now: () => number): KeptUnits {
  let byRun = new Map<number, Kept>()
  return {
    async load(db, catalog) {
      const next = new Map<number, Kept>()
      for (const run of [...catalog.models.values()].flatMap(({ experiments }) => experiments)) {
        if (!keepsUnits(run)) continue
        const kept = await read(db, run, byRun.get(run.id))
        keptOf.set(run, kept.units)
        next.set(run.id, kept)
      }
      byRun = next
    },
  }

  async function read(db: Pick<Database, 'query'>, run: ExperimentRun, known: Kept | undefined): Promise<Kept> {
    const { slices } = run
    const isSame = known !== undefined && JSON.stringify(known.slices) === JSON.stringify(slices)
    if (!isSame) return { slices, units: await readKeptUnits(db, run, false), readAtMs: now() }
    if (now() - known.readAtMs < lateMs) {
      for (const [unit, variant] of await readKeptUnits(db, run, true)) known.units.set(unit, variant)
    }
    return known
  }
}
