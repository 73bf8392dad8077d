import type { OnlineStore, ServerState } from '../../online/store.ts'
import type { Logger } from '../../runtime/log.ts'

/** Pings an online store, and notes and logs which of its servers are silent. */
export interface OnlineServers {
  /** The servers of a store on several servers, as of the last ping that one of them answered. */
  readonly servers: readonly ServerState[]
  /** One sentence for each silent server. */
  readonly warnings: readonly string[]
  /** @throws as `ping` of the store */
  ping(store: Pick<OnlineStore, 'ping'>): Promise<void>
}

export function createOnlineServers(log: Logger): OnlineServers {
  let servers: readonly ServerState[] = []
  return {
    get servers() {
      return servers
    },
    get warnings() {
      return silentServers(servers).map(warningOf)
    },
    async ping(store) {
      const before = silentServers(servers)
      servers = await store.ping()
      const silent = silentServers(servers)
      for (const server of silent) if (!before.includes(server)) log.warn({ server }, 'a server of the Redis Cluster does not answer')
      for (const server of before)
        if (!silent.includes(server)) log.info({ server }, 'a server of the Redis Cluster answers again, or has left')
    },
  }
}

function silentServers(servers: readonly ServerState[]): string[] {
  return servers.flatMap(({ server, answers }) => (answers === false ? [server] : []))
}

function warningOf(server: string): string {
  return `The server "${server}" of the Redis Cluster does not answer. Entities of its slots cannot be read until it is back or a replica has taken its place.`
}
