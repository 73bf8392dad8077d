import { messageOf } from '../../kernel/errors.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { ExperimentRun } from '../../registry/experiments/experiment.ts'
import { keepsUnits, lateMs, readKeptUnits } from '../../registry/experiments/kept-units.ts'
import type { Database } from '../../runtime/database.ts'
import type { Logger } from '../../runtime/log.ts'
import type { Slice } from '../../statistics/assign.ts'

/** Units that keep their variants while the shares of an experiment follow its results. */
export interface KeptUnits {
  /**
   * Reads the units of a catalog that is about to be in force, if shares have changed. For half a minute after a change
   * it also reads those whose exposures were written late. What cannot be read is logged, and the units known before
   * stay.
   */
  load(db: Pick<Database, 'query'>, catalog: Catalog): Promise<void>
}

interface Kept {
  readonly slices: readonly Slice[]
  /** Variants by unit. */
  readonly units: Map<string, string>
  /** When the slices were first seen. */
  readonly sinceMs: number
  readAtMs: number
}

/** Units whose exposures are written late are read so often, each time from all exposures of the run. */
const againMs = 10_000

const keptOf = new WeakMap<ExperimentRun, ReadonlyMap<string, string>>()

/** Variants by unit, of the units that do not have the variant of their place; null: there are none. */
export function variantsKept(run: ExperimentRun): ReadonlyMap<string, string> | null {
  return keptOf.get(run) ?? null
}

/** @param now milliseconds of a monotonic clock */
export function createKeptUnits(now: () => number, log: Pick<Logger, 'warn'>): KeptUnits {
  let byRun = new Map<number, Kept>()
  return {
    async load(db, catalog) {
      const next = new Map<number, Kept>()
      for (const run of [...catalog.models.values()].flatMap(({ experiments }) => experiments)) {
        if (!keepsUnits(run)) continue
        const kept = await read(db, run, byRun.get(run.id))
        if (kept === undefined) continue
        keptOf.set(run, kept.units)
        next.set(run.id, kept)
      }
      byRun = next
    },
  }

  /** A failure must not keep the registry from being in force. It is tried again at the next look. */
  async function read(db: Pick<Database, 'query'>, run: ExperimentRun, known: Kept | undefined): Promise<Kept | undefined> {
    const { name, slices } = run
    try {
      if (known === undefined || JSON.stringify(known.slices) !== JSON.stringify(slices)) {
        const at = now()
        return { slices, units: await readKeptUnits(db, run, false), sinceMs: at, readAtMs: at }
      }
      if (now() - known.sinceMs < lateMs + againMs && now() - known.readAtMs >= againMs) {
        known.readAtMs = now()
        for (const [unit, variant] of await readKeptUnits(db, run, true)) if (!known.units.has(unit)) known.units.set(unit, variant)
      }
    } catch (error) {
      log.warn({ experiment: name, error: messageOf(error) }, 'units of an experiment may change their variant: they cannot be read')
    }
    return known
  }
}
