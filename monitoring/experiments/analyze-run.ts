import { LockstepError } from '../../kernel/errors.ts'
import type { ExperimentRun } from '../../registry/experiments/experiment.ts'
import { readLastRun } from '../../registry/experiments/experiment.ts'
import { declaredExperiment } from '../../registry/experiments/declared-experiment.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { readAllocations } from '../../registry/experiments/allocation.ts'
import { allocate } from './allocate.ts'
import { analyzeExperiment } from './analyze-experiment.ts'
import { gatherExperimentEvidence } from './experiment-evidence.ts'
import type { ExperimentResult } from './experiment-result.ts'
import type { UnitsCatalog } from './plan-units.ts'
import type { ReadUnitsOptions } from './read-units.ts'
import { rebuildExposures } from '../exposures/rebuild-exposures.ts'
import { readLastResult, storeResult } from './stored-results.ts'

/** Rows of the prediction log may be written late, so those of this time before the last analysis are read again. */
const rebuiltAgainMicros = 7_200_000_000

/**
 * Analyzes a run as of a moment, and stores what it found. Exposures that were lost are rebuilt before, and shares that
 * follow the results are changed after.
 *
 * @param asOf epoch microseconds, in whole milliseconds
 * @throws LockstepError `NOT_FOUND` if its exposures were deleted; whatever `gatherExperimentEvidence` throws
 */
export async function analyzeRun(
  db: Database,
  catalog: UnitsCatalog,
  run: ExperimentRun,
  asOf: number,
  options: ReadUnitsOptions = {},
): Promise<ExperimentResult> {
  requireExposures(run)
  const { id, name, spec } = run
  const previous = await readLastResult(db.kysely, id)
  const from = previous === null ? 0 : Date.parse(previous.asOf) * 1000 - rebuiltAgainMicros
  await rebuildExposures(db, run, from, asOf)
  const periods = spec.allocation === undefined ? {} : { periods: await readAllocations(db.kysely, run) }
  const exposed = { experimentId: id, experiment: name, unit: spec.unit, asOf, ...periods }
  const evidence = await gatherExperimentEvidence(db, catalog, spec, exposed, options)
  const result = await storeResult(db.kysely, id, evidence, (before) => analyzeExperiment(spec, evidence, before))
  if (spec.allocation !== undefined) await allocate(db, run, evidence)
  return result
}

/**
 * The running run of an experiment, or its last one.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`, also if it was never started
 */
export async function requireRun(db: Pick<Database, 'kysely'>, name: string): Promise<ExperimentRun> {
  const run = await readLastRun(db.kysely, name)
  if (run !== null) return run
  await declaredExperiment(db, name)
  throw new LockstepError(
    'UNKNOWN_DEFINITION',
    `The experiment "${name}" was never started, so it has no results. Start it: lockstep experiment start ${name}.`,
    { details: { experiment: name } },
  )
}

/** @throws LockstepError `NOT_FOUND` if its exposures were deleted */
export function requireExposures({ name, exposuresDeletedAt }: Pick<ExperimentRun, 'name' | 'exposuresDeletedAt'>): void {
  if (exposuresDeletedAt === null) return
  throw new LockstepError(
    'NOT_FOUND',
    `The units of the experiment "${name}" were deleted at ${exposuresDeletedAt.toISOString()}, because it ended more than LOCKSTEP_EVIDENCE_RETENTION_DAYS days before. Its last results stay: lockstep experiment show ${name}.`,
    { details: { experiment: name } },
  )
}
