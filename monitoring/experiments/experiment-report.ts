import { formatTimestamp } from '../../kernel/values/time.ts'
import { readAllocations } from '../../registry/experiments/allocation.ts'
import type { ExperimentRun } from '../../registry/experiments/experiment.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { requireRun } from './analyze-run.ts'
import type { ExperimentResult } from './experiment-result.ts'
import type { ExperimentLook } from './stored-results.ts'
import { readLastResult, readLooks } from './stored-results.ts'

/** A run of an experiment with what its analyses found, as plain JSON. Times are RFC 3339. */
export interface ExperimentReport {
  readonly experiment: string
  readonly model: string
  readonly run: number
  readonly state: ExperimentRun['state']
  /** By variant, the version that it serves. */
  readonly versions: Readonly<Record<string, number>>
  readonly startedAt: string
  readonly startedBy: string
  readonly stoppedAt: string | null
  /** null: not decided. */
  readonly decision: unknown
  /** How the shares follow the results; null: they never change. */
  readonly allocation: {
    readonly floor: number
    /** Since when each variant has which share, as the result lists them; oldest first. */
    readonly periods: readonly { readonly from: string; readonly shares: readonly number[] }[]
  } | null
  /** null: it was not analyzed yet. */
  readonly result: ExperimentResult | null
  /** The primary metric at each analysis, oldest first. */
  readonly looks: readonly ExperimentLook[]
}

/** The result of a run that has ended forecasts nothing: it gets no new units. */
export function withoutForecast(result: ExperimentResult | null, state: ExperimentRun['state']): ExperimentResult | null {
  return result === null || state === 'running' ? result : { ...result, progress: { ...result.progress, unitsByDay: null, daysLeft: null } }
}

/** @throws LockstepError `UNKNOWN_DEFINITION`, also if it was never started */
export async function experimentReport(db: Pick<Database, 'kysely'>, name: string): Promise<ExperimentReport> {
  const run = await requireRun(db, name)
  return {
    experiment: run.name,
    model: run.model,
    run: run.id,
    state: run.state,
    versions: run.versions,
    startedAt: run.startedAt.toISOString(),
    startedBy: run.startedBy,
    stoppedAt: run.stoppedAt?.toISOString() ?? null,
    decision: run.decision,
    allocation:
      run.spec.allocation === undefined
        ? null
        : {
            floor: run.spec.allocation.floor,
            periods: (await readAllocations(db.kysely, run)).map(({ from, shares }) => ({ from: formatTimestamp(from), shares })),
          },
    result: withoutForecast(await readLastResult(db.kysely, run.id), run.state),
    looks: await readLooks(db.kysely, run.id),
  }
}
