import { messageOf } from '../../kernel/errors.ts'
import { isAlmostFull } from '../../online/redis-memory.ts'
import type { OnlineStore, ServerMemory } from '../../online/store.ts'
import type { Logger } from '../../runtime/log.ts'
import { cannotSaveText } from '../../runtime/redis/cannot-save.ts'

/** Watches for servers of the online store that are almost full, cannot save, may delete states or are replicas. */
interface MemoryWatch {
  /** One sentence or more for each server, as of the last look. */
  readonly warnings: readonly string[]
  /** Never rejects. */
  check(store: Pick<OnlineStore, 'memory'>): Promise<void>
}

interface Finding {
  /** The same while there is nothing new to say. */
  readonly key: string
  readonly event: string
  readonly warning: string
}

export function createMemoryWatch(log: Logger): MemoryWatch {
  let findings: readonly Finding[] = []
  return {
    get warnings() {
      return findings.map(({ warning }) => warning)
    },
    async check(store) {
      try {
        const known = new Set(findings.map(({ key }) => key))
        findings = ((await store.memory?.()) ?? []).flatMap(findingsOf)
        for (const { key, event, warning } of findings) if (!known.has(key)) log.warn({ warning }, event)
      } catch (error) {
        log.debug({ error: messageOf(error) }, 'Lockstep cannot check how full the online store is')
      }
    },
  }
}

function findingsOf(memory: ServerMemory): Finding[] {
  const { server, usedBytes, maxBytes, evictsStates, evictedKeys, isReplica, cannotSave } = memory
  const found: Finding[] = []
  if (isReplica) {
    const warning = `Redis at "${server}" is a replica, so no view is brought up to date and features grow old. Set LOCKSTEP_REDIS_URL to the primary.`
    found.push({ key: `replica ${server}`, event: 'the online store is a replica', warning })
  }
  if (cannotSave) {
    const warning = `Redis at "${server}" ${cannotSaveText}`
    found.push({ key: `unsaved ${server}`, event: 'the online store cannot save to its disk', warning })
  }
  if (isAlmostFull(memory)) {
    const percent = Math.floor((100 * usedBytes) / maxBytes)
    const then = evictsStates ? 'deletes states' : 'refuses writes'
    const warning = `Redis at "${server}" uses ${percent} % of its maxmemory. When it is full, it ${then}. Raise maxmemory, or delete other data in it.`
    found.push({ key: `full ${server}`, event: 'the online store is almost full', warning })
  }
  if (evictsStates) {
    const event = evictedKeys > 0 ? 'the online store has deleted keys' : 'the online store may delete states'
    found.push({ key: `${event} ${server}`, event, warning: evictionText(server, evictedKeys) })
  }
  return found
}

function evictionText(server: string, evictedKeys: number): string {
  if (evictedKeys === 0)
    return `Redis at "${server}" deletes states when it is full, and then features are wrong: an entity without a state looks like one that was never seen. Set its maxmemory-policy to noeviction.`
  const keys = evictedKeys === 1 ? 'a key' : `${evictedKeys} keys`
  return `Redis at "${server}" was full and has deleted ${keys}. Features of entities whose states are among them are wrong. Set its maxmemory-policy to noeviction, then run "lockstep materialize --rebuild".`
}
