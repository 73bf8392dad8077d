import { obstacleOf, readOnlyObstacle } from './postgres/postgres-unavailable.ts'

/** How long a full disk is reported after the last error: whatever failed to write tries again within a minute. */
const fullForMs = 90_000
const diskFull = '53100'

/** Notes what keeps a PostgreSQL that answers from taking writes. */
export interface WriteObstacle {
  /** @param error as the server sent it */
  noteError(error: Error): void
  noteReadOnly(readOnly: boolean): void
  /** With what to do; null: none is known. */
  current(): string | null
}

/** @param server `host:port` */
export function createWriteObstacle(server: () => string): WriteObstacle {
  let readOnly = false
  let full: string | null = null
  let fullUntil = 0
  return {
    noteError(error) {
      const obstacle = 'code' in error && error.code === diskFull ? obstacleOf(error) : null
      if (obstacle === null) return
      full = `PostgreSQL at "${server()}" ${obstacle.problem}: ${error.message}. ${obstacle.remedy}`
      fullUntil = performance.now() + fullForMs
    },
    noteReadOnly(isReadOnly) {
      readOnly = isReadOnly
    },
    current() {
      if (readOnly) return `PostgreSQL at "${server()}" ${readOnlyObstacle.problem}. ${readOnlyObstacle.remedy}`
      return performance.now() < fullUntil ? full : null
    },
  }
}
