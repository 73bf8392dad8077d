import type { ServerGuard, ServerState } from '../../online/store.ts'
import type { Breaker } from './circuit-breaker.ts'

/** A circuit breaker for each server of a Redis Cluster, so that one that is down does not stop reads of the others. */
export interface ServerBreakers {
  readonly run: ServerGuard
  /** Closes the breakers of servers that answer, and forgets servers that have left the cluster. */
  note(servers: readonly ServerState[]): void
}

export interface ServerBreakersOptions {
  /**
   * Called with the first read from a server.
   *
   * @param isPresent false: the server was forgotten while it was read
   */
  readonly create: (server: string, isPresent: () => boolean) => Breaker
  readonly onForget: (server: string) => void
}

interface Entry {
  readonly breaker: Breaker
  connection: number
}

export function createServerBreakers({ create, onForget }: ServerBreakersOptions): ServerBreakers {
  const entries = new Map<string, Entry>()

  function add(server: string, connection: number): Entry {
    const entry: Entry = { breaker: create(server, () => entries.get(server) === entry), connection }
    entries.set(server, entry)
    return entry
  }

  return {
    run(server, connection, read) {
      const entry = entries.get(server) ?? add(server, connection)
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
