import { messageOf } from '../../kernel/errors.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { ExperimentRun } from '../../registry/experiments/experiment.ts'
import { keepsUnits, lateMs, readKeptUnits } from '../../registry/experiments/kept-units.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Logger } from '../../runtime/log.ts'
import type { Slice } from '../../statistics/assign.ts'

/** Units that keep their variants while the shares of an experiment follow its results. */
export interface KeptUnits {
  /**
   * Reads the units of a catalog that is about to be in force, if shares have changed. For half a minute after a change
   * it also reads those whose exposures were written late. If a read fails, that is logged, and the units known before
   * stay.
   *
   * Reading a million exposures takes seconds, and no other change of the registry waits for it: until the units are
   * read, the experiment keeps its former shares.
   *
   * @param onRead called once units are read, or can be read again: the catalog must be loaded again
   * @returns for each run that keeps its former shares: the run with these shares, which takes its place
   */
  load(db: Pick<Database, 'query'>, catalog: Catalog, onRead: () => void): Promise<ReadonlyMap<ExperimentRun, ExperimentRun>>
}

interface Kept {
  readonly slices: readonly Slice[]
  /** Variants by unit. */
  readonly units: Map<string, string>
  /** When the slices were first seen. */
  readonly sinceMs: number
  readAtMs: number
  /** Whether the units of new shares are being read. */
  isReading: boolean
  /** Whether units whose exposures were written late are being read. */
  isReadingLate: boolean
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
  const byRun = new Map<number, Kept>()
  return {
    async load(db, catalog, onRead) {
      const runs = [...catalog.models.values()].flatMap(({ experiments }) => experiments).filter(keepsUnits)
      for (const id of byRun.keys()) if (runs.every((run) => run.id !== id)) byRun.delete(id)
      const former = new Map<ExperimentRun, ExperimentRun>()
      for (const run of runs) {
        const known = byRun.get(run.id)
        if (known === undefined) {
          // the first catalog: no units are known that could answer meanwhile
          const first = await readUnits(db, run)
          if (first === null) continue
          byRun.set(run.id, first)
          keptOf.set(run, first.units)
        } else if (JSON.stringify(known.slices) === JSON.stringify(run.slices)) {
          keptOf.set(run, known.units)
          void readLate(db, run, known)
        } else if (!keptOf.has(run)) {
          // a run that is in force and differs only waits for the catalog that `onRead` has asked for
          const kept = { ...run, slices: known.slices }
          keptOf.set(kept, known.units)
          former.set(run, kept)
          void readChanged(db, run, known, onRead)
        }
      }
      return former
    },
  }

  /** null: they cannot be read. */
  async function readUnits(db: Pick<Database, 'query'>, run: ExperimentRun): Promise<Kept | null> {
    const at = now()
    try {
      return {
        slices: run.slices,
        units: await readKeptUnits(db, run, false),
        sinceMs: at,
        readAtMs: at,
        isReading: false,
        isReadingLate: false,
      }
    } catch (error) {
      warn(run, error)
      return null
    }
  }

  async function readChanged(db: Pick<Database, 'query'>, run: ExperimentRun, known: Kept, onRead: () => void): Promise<void> {
    if (known.isReading) return
    known.isReading = true
    const next = await readUnits(db, run)
    known.isReading = false
    if (next === null) setTimeout(onRead, againMs).unref()
    else if (byRun.get(run.id) === known) {
      byRun.set(run.id, next)
      onRead()
    }
  }

  async function readLate(db: Pick<Database, 'query'>, run: ExperimentRun, known: Kept): Promise<void> {
    if (known.isReadingLate || now() - known.sinceMs >= lateMs + againMs || now() - known.readAtMs < againMs) return
    known.isReadingLate = true
    known.readAtMs = now()
    try {
      for (const [unit, variant] of await readKeptUnits(db, run, true)) if (!known.units.has(unit)) known.units.set(unit, variant)
    } catch (error) {
      warn(run, error)
    }
    known.isReadingLate = false
  }

  function warn({ name }: ExperimentRun, error: unknown): void {
    log.warn({ experiment: name, error: messageOf(error) }, 'units of an experiment that keep their variant cannot be read')
  }
}
