import { sql } from 'kysely'
import type { Database } from '../postgres/database.ts'

const channel = 'lockstep_jobs'

/** Wakes those who wait for work once the transaction is committed. */
export async function announceWork(kysely: Database['kysely']): Promise<void> {
  await sql`select pg_notify(${channel}, '')`.execute(kysely)
}

/** The same, and notifies the workers of the job, and those that wait for it, that it has ended. */
export async function announceEnd(kysely: Database['kysely'], id: number): Promise<void> {
  await sql`select pg_notify(${channel}, ${String(id)})`.execute(kysely)
}

/** Hears of work that may be claimed, and of jobs that have ended. */
export interface JobNotices {
  /** How many were heard so far. */
  heard(): number
  /** Resolves when another is heard than those `heard` so far, after the time, or at the abort. */
  next(heard: number, timeoutMs: number, signal: AbortSignal): Promise<void>
  /** Calls `onEnd` when the job ends, and when notices may have been missed. @returns what stops that */
  watch(job: number, onEnd: () => void): () => void
  close(): Promise<void>
}

/** Through a proxy that shares connections by transaction nothing is heard, and waiting ends by its time alone. */
export async function listenToJobs(db: Pick<Database, 'listen'>): Promise<JobNotices> {
  const waiting = new Set<() => void>()
  const watching = new Set<(said: string | null) => void>()
  let heard = 0
  const stop = await db.listen(channel, (said) => {
    heard++
    for (const wake of waiting) wake()
    for (const watch of watching) watch(said)
  })
  return {
    heard: () => heard,
    next: (known, timeoutMs, signal) =>
      new Promise((resolve) => {
        const end = (): void => {
          clearTimeout(timer)
          signal.removeEventListener('abort', end)
          waiting.delete(end)
          resolve()
        }
        const timer = setTimeout(end, timeoutMs)
        signal.addEventListener('abort', end)
        waiting.add(end)
        if (signal.aborted || known !== heard) end()
      }),
    watch(job, onEnd) {
      const watch = (said: string | null): void => {
        if (said === null || said === String(job)) onEnd()
      }
      watching.add(watch)
      return () => void watching.delete(watch)
    },
    close: stop,
  }
}
