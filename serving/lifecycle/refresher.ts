import { messageOf } from '../../kernel/errors.ts'
import { withTimeout } from '../../runtime/async.ts'
import type { Logger } from '../../runtime/log.ts'
import type { Database } from '../../runtime/postgres/database.ts'

const deadlineMs = 5000

/** Keeps what a server has loaded of the database up to date. If a load fails, what was loaded before stays. */
export interface Refresher {
  /** Why the last refresh failed, or null. It may name the database's host: for the operator, not for clients. */
  readonly failure: string | null
  /**
   * Never rejects. A load that takes longer than the deadline counts as failed until it is done. No second one starts
   * meanwhile.
   */
  refresh(db: Database): Promise<void>
  /** As `refresh`, by a load that begins from now on. */
  refreshAfresh(db: Database): Promise<void>
  /** The next load loads what seems not to have changed: a restored database counts its revisions again. */
  distrust(): void
}

export interface RefresherOptions {
  /** Loads what has changed; with `isDistrusted` also what seems not to have changed. */
  readonly load: (db: Database, isDistrusted: boolean) => Promise<void>
  readonly log: Logger
  /** What is logged with a new failure. */
  readonly failed: string
  /** The failure of a load that takes longer than the deadline: `The API keys were not loaded`. */
  readonly late: string
}

export function createRefresher({ load, log, failed, late }: RefresherOptions): Refresher {
  let failure: string | null = null
  let underWay: Promise<void> | null = null
  let isDistrusted = false

  async function loadOnce(db: Database): Promise<void> {
    const all = isDistrusted
    isDistrusted = false
    try {
      await load(db, all)
    } catch (error) {
      isDistrusted ||= all
      throw error
    } finally {
      underWay = null
    }
  }

  async function refresh(db: Database): Promise<void> {
    underWay ??= loadOnce(db)
    try {
      await withTimeout(underWay, deadlineMs, () => new Error(`${late} within ${deadlineMs / 1000} s; the server keeps waiting.`))
      failure = null
    } catch (error) {
      const message = messageOf(error)
      if (message !== failure) log.warn({ error: message }, failed)
      failure = message
    }
  }

  return {
    get failure() {
      return failure
    },
    refresh,
    async refreshAfresh(db) {
      await underWay?.catch(() => undefined)
      await refresh(db)
    },
    distrust() {
      isDistrusted = true
    },
  }
}
