import type { FreshnessReader } from '../../monitoring/freshness/freshness-reader.ts'
import type { Logger } from '../../runtime/log.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { LiveCatalog } from '../models/live-catalog.ts'
import { createClockWatch } from './clock-watch.ts'
import { createFileWatch } from './file-watch.ts'
import { createMemoryWatch } from './memory-watch.ts'
import { createObstacleWatch } from './obstacle-watch.ts'
import type { ReadinessFinding } from './readiness.ts'
import { about } from './readiness.ts'
import type { Stores } from './stores.ts'
import { createUpkeepWatch } from './upkeep-watch.ts'

/**
 * The watches that only warn: of views without workers, a database that takes no writes, the store, open files and the
 * clock of this machine.
 */
export interface OwnWatches {
  /** Call it whenever the database has answered. */
  checkDatabase(db: Database): void
  /** Never rejects. */
  check(stores: Pick<Stores, 'database' | 'online'>, catalog: Pick<LiveCatalog, 'loaded'>): Promise<void>
  warnings(): readonly ReadinessFinding[]
}

export function createOwnWatches(log: Logger, freshness: FreshnessReader | null, workerGraceMs: number | undefined): OwnWatches {
  const upkeep = createUpkeepWatch(log, freshness, workerGraceMs)
  const memory = createMemoryWatch(log)
  const obstacle = createObstacleWatch(log)
  const openFiles = createFileWatch(log)
  const machineClock = createClockWatch(log)
  return {
    checkDatabase: obstacle.check,
    async check({ database, online }, catalog) {
      const { available: db } = database
      await openFiles.check()
      if (online.available !== null) await memory.check(online.available)
      if (db !== null) await machineClock.check(db)
      if (db !== null && online.value !== null && catalog.loaded !== null) await upkeep.check(db, online.value, catalog.loaded)
    },
    warnings: () => [
      ...about('workers', upkeep.warnings),
      ...about('database', obstacle.warnings),
      ...about('online store', memory.warnings),
      ...about('server', openFiles.warnings),
      ...about('clock', machineClock.warnings),
    ],
  }
}
