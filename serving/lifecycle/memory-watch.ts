import { messageOf } from '../../kernel/errors.ts'
import { isAlmostFull } from '../../online/redis-memory.ts'
import type { OnlineStore, ServerMemory } from '../../online/store.ts'
import type { Logger } from '../../runtime/log.ts'

/** Watches whether the servers of the online store are almost full, as `doctor` does. */
export interface MemoryWatch {
  /** One sentence for each server, as of the last look. */
  readonly warnings: readonly string[]
  /** Never rejects. */
  check(store: Pick<OnlineStore, 'memory'>): Promise<void>
}

export function createMemoryWatch(log: Logger): MemoryWatch {
  let full: ReadonlyMap<string, string> = new Map()
  return {
    get warnings() {
      return [...full.values()]
    },
    async check(store) {
      try {
        const found = (await store.memory?.()) ?? []
        const before = full
        full = new Map(found.filter(isAlmostFull).map((memory) => [memory.server, warningOf(memory)]))
        for (const [server, warning] of full) if (!before.has(server)) log.warn({ warning }, 'the online store is almost full')
      } catch (error) {
        log.debug({ error: messageOf(error) }, 'Lockstep cannot check how full the online store is')
      }
    },
  }
}

function warningOf({ server, usedBytes, maxBytes, evicts }: ServerMemory): string {
  const percent = Math.floor((100 * usedBytes) / maxBytes)
  const then = evicts ? 'deletes states' : 'refuses writes'
  return `Redis at "${server}" uses ${percent}% of its maxmemory. When it is full, it ${then}. Raise maxmemory, or delete other data in it.`
}
