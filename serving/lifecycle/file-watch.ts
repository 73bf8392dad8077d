import type { Logger } from '../../runtime/log.ts'
import { countOpenFiles, openFilesLimit } from '../../runtime/open-files.ts'

/** From this share of the limit on, it warns. */
const fullShare = 0.9
const repeatMs = 60_000
const remedy = 'Raise it: "ulimit -n", LimitNOFILE of systemd, or "ulimits" of Docker.'

/**
 * Watches how many files and sockets this process has open. At the limit, the system closes new connections at once,
 * and Node.js reports nothing.
 */
interface FileWatch {
  /** At most one sentence, as of the last look. */
  readonly warnings: readonly string[]
  /** Never rejects. */
  check(): Promise<void>
}

/** @param limit as of the process. null: it is unknown */
export function createFileWatch(log: Logger, limit = openFilesLimit()): FileWatch {
  let warnings: readonly string[] = []
  let loggedAt = Number.NEGATIVE_INFINITY
  return {
    get warnings() {
      return warnings
    },
    async check() {
      const open = limit === null ? null : await countOpenFiles()
      const isFull = limit !== null && open !== null && open >= limit * fullShare
      const used = isFull ? `has ${Math.min(open, limit)} of at most ${limit} files and sockets open` : ''
      warnings = isFull ? [`A process of this server ${used}. At the limit, new connections are closed at once. ${remedy}`] : []
      if (!isFull || performance.now() - loggedAt < repeatMs) return
      loggedAt = performance.now()
      log.warn({ limit, warning: warnings[0] }, 'this process can hardly open files or take connections')
    },
  }
}
