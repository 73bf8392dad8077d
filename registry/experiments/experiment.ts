import type { Kysely, Selectable } from 'kysely'
import type { ExperimentSpec } from '../../kernel/specs/experiment-spec.ts'
import type { ExperimentsTable } from '../../migrations/experiment-tables.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Slice } from '../../statistics/assign.ts'

/** A run of a declared experiment: what was declared when it started, and how its units are assigned. */
export interface ExperimentRun {
  readonly id: number
  readonly name: string
  readonly model: string
  readonly spec: ExperimentSpec
  /** An experiment without a run is planned. */
  readonly state: 'running' | 'stopped' | 'decided'
  /** Of the variants' places (`unitPlace`). Each run has its own. */
  readonly salt: string
  /** The share of the units of its layer's part, or of all units, that are in it. */
  readonly coverage: number
  /** By variant, the version that it serves. */
  readonly versions: Readonly<Record<string, number>>
  /** The parts of [0, 1) that the variants have. */
  readonly slices: readonly Slice[]
  readonly startedBy: string
  readonly startedAt: Date
  readonly stoppedBy: string | null
  readonly stoppedAt: Date | null
  readonly stopReason: string | null
  readonly decision: unknown
  /** Since when its exposures are deleted; null: they are kept. */
  readonly exposuresDeletedAt: Date | null
}

/** The running experiments, oldest first. */
export async function readRunningExperiments(handle: Kysely<LockstepTables>): Promise<readonly ExperimentRun[]> {
  const rows = await handle.selectFrom('lockstep.experiments').selectAll().where('state', '=', 'running').orderBy('id').execute()
  return rows.map(runOf)
}

/** All runs, newest first; of one experiment, or of all. */
export async function readExperimentRuns(handle: Kysely<LockstepTables>, name?: string): Promise<readonly ExperimentRun[]> {
  let query = handle.selectFrom('lockstep.experiments').selectAll().orderBy('id', 'desc')
  if (name !== undefined) query = query.where('name', '=', name)
  return (await query.execute()).map(runOf)
}

/** The running run of an experiment, or its last one; null: it was never started. */
export async function readLastRun(handle: Kysely<LockstepTables>, name: string): Promise<ExperimentRun | null> {
  const row = await handle
    .selectFrom('lockstep.experiments')
    .selectAll()
    .where('name', '=', name)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row === undefined ? null : runOf(row)
}

/** The versions that running experiments of a model serve. */
export function variantVersions({ experiments }: { readonly experiments: readonly ExperimentRun[] }): number[] {
  return experiments.flatMap(({ versions }) => Object.values(versions))
}

export function runOf(row: Selectable<ExperimentsTable>): ExperimentRun {
  const { id, name, model, state, salt, coverage, decision } = row
  return {
    id: Number(id),
    name,
    model,
    // start writes these three
    spec: row.spec as ExperimentSpec,
    versions: row.variants as Readonly<Record<string, number>>,
    slices: row.slices as readonly Slice[],
    state,
    salt,
    coverage,
    startedBy: row.started_by,
    startedAt: row.started_at,
    stoppedBy: row.stopped_by,
    stoppedAt: row.stopped_at,
    stopReason: row.stop_reason,
    decision,
    exposuresDeletedAt: row.exposures_deleted_at,
  }
}
