import type { Logger } from '../../runtime/log.ts'
import type { FreshnessReader } from '../../monitoring/freshness/freshness-reader.ts'
import { createClockWatch } from './clock-watch.ts'
import { createFileWatch } from './file-watch.ts'
import { createMemoryWatch } from './memory-watch.ts'
import { createObstacleWatch } from './obstacle-watch.ts'
import { about } from './readiness.ts'
import { createUpkeepWatch } from './upkeep-watch.ts'

/**
 * The watches that only warn: of views without workers, a database that takes no writes, the store, open files and the
 * clock of this machine.
 */
export function createOwnWatches(log: Logger, freshness: FreshnessReader | null, workerGraceMs: number | undefined) {
  const upkeep = createUpkeepWatch(log, freshness, workerGraceMs)
  const memory = createMemoryWatch(log)
  const obstacle = createObstacleWatch(log)
  const openFiles = createFileWatch(log)
  const machineClock = createClockWatch(log)
  return {
    watches: { upkeep, obstacle, memory, openFiles, machineClock },
    warnings: () => [
      ...about('workers', upkeep.warnings),
      ...about('database', obstacle.warnings),
      ...about('online store', memory.warnings),
      ...about('server', openFiles.warnings),
      ...about('clock', machineClock.warnings),
    ],
  }
}
