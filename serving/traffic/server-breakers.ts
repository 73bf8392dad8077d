import type { ServerGuard, ServerState } from '../../online/store.ts'
import type { Breaker } from './circuit-breaker.ts'

/** A circuit breaker for each server of a Redis Cluster, so that one that is down does not stop reads of the others. */
export interface ServerBreakers {
  readonly run: ServerGuard
  /** Closes the breakers of servers that answer, and forgets servers that have left the cluster. */
  note(servers: readonly ServerState[]): void
}

export interface ServerBreakersOptions {
  /** Called with the first read from a server. */
  readonly create: (server: string) => Breaker
  readonly onForget: (server: string) => void
}

interface Entry {
  readonly breaker: Breaker
  connection: number
}

export function createServerBreakers({ create, onForget }: ServerBreakersOptions): ServerBreakers {
  const entries = new Map<string, Entry>()

  return {
    run(server, connection, read) {
      let entry = entries.get(server)
      if (entry === undefined) entries.set(server, (entry = { breaker: create(server), connection }))
      if (entry.connection !== connection) {
        entry.connection = connection
        entry.breaker.reset()
      }
      return entry.breaker.run(read)
    },
    note(servers) {
      const present = new Set(servers.map(({ server }) => server))
      for (const { server, answers } of servers) {
        const breaker = entries.get(server)?.breaker
        if (answers === true && breaker?.isOpen === true) breaker.reset()
      }
      for (const server of entries.keys()) {
        if (present.has(server)) continue
        entries.delete(server)
        onForget(server)
      }
    },
  }
}
