import { readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import type { Logger } from './log.ts'

/** Requests in flight, connections that wait for one, the stores and models need fewer by default. */
const enough = 2048

/** How many files and connections this process may have open; null: the system does not say. */
export function openFilesLimit(): number | null {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
    return soft === undefined ? null : Number(soft)
  } catch {
    return null
  }
}

/** How many it has open; null: the system does not say. With none left, not even this can be read: infinity. */
export async function countOpenFiles(): Promise<number | null> {
  try {
    return (await readdir('/proc/self/fd')).length
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EMFILE' ? Number.POSITIVE_INFINITY : null
  }
}

/** Node drops a connection that it may not open without a word, so a server says it before. */
export function warnOfFewFiles(log: Logger): void {
  const limit = openFilesLimit()
  if (limit === null || limit >= enough) return
  const warning = `This process may have ${limit} files and connections open. It drops further connections of clients without a line in the log. Raise "ulimit -n" to ${enough} or more.`
  log.warn({ warning, limit }, 'few files may be open')
}
