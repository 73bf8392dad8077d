import type { Database } from '../../runtime/postgres/database.ts'
import type { Logger } from '../../runtime/log.ts'
import { baselineOf } from '../baselines/baseline.ts'
import { compareClock } from './compare-clock.ts'
import type { RollupRecorder, RollupRecorderOptions } from './rollup-recorder.ts'
import { createRollupRecorder } from './rollup-recorder.ts'
import { createRollupWriter } from './rollup-writer.ts'
import { createServedBaselines } from './served-baselines.ts'

/**
 * The recorder of a server process.
 *
 * @param database throws while the database does not answer
 * @param options null: it records nothing, and compares its clock alone
 * @param clock epoch microseconds
 * @param comparedClock of this machine, if `clock` is another one
 */
export function createRollups(
  database: () => Database,
  options: RollupRecorderOptions | null,
  log: Logger,
  clock: () => number,
  comparedClock: () => number = clock,
): RollupRecorder {
  if (options === null) return compareClock(database, log, comparedClock)
  const writer = createRollupWriter({ database, log, clock: comparedClock })
  const baselines = createServedBaselines(async (model, version) => await baselineOf(database(), model, version), log)
  return createRollupRecorder({ writer, baselineOf: baselines, log, clock }, options)
}
