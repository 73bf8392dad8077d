import type { Database } from '../../runtime/postgres/database.ts'
import type { Logger } from '../../runtime/log.ts'

/** Watches whether the database, which answers, takes writes. */
interface ObstacleWatch {
  /** At most one sentence, as of the last look. */
  readonly warnings: readonly string[]
  check(database: Pick<Database, 'obstacle'>): void
}

export function createObstacleWatch(log: Logger): ObstacleWatch {
  let warnings: readonly string[] = []
  return {
    get warnings() {
      return warnings
    },
    check(database) {
      const obstacle = database.obstacle?.() ?? null
      const isNew = obstacle !== null && warnings.length === 0
      if (isNew) log.warn({ warning: obstacle }, 'the database takes no writes')
      if (obstacle === null && warnings.length > 0) log.info('the database takes writes again')
      warnings = obstacle === null ? [] : [obstacle]
    },
  }
}
