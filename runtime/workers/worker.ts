import { messageOf, LockstepError } from '../../kernel/errors.ts'
import { cacheFor } from '../cache-for.ts'
import type { Address, Report, Task, ToPool, ToWorker, PoolStatus } from './messages.ts'

/** A worker's side of its pool. */
export interface PoolWorker {
  readonly task: Promise<Task>
  /** Aborted when the pool ends. */
  readonly signal: AbortSignal
  /** Says what it is asked from now on. */
  reports(report: () => Promise<Report>): void
  listens(address: Address): void
  /** Says why it ends. Resolves once that is said. */
  fails(error: unknown): Promise<void>
  /** The status of all workers; null if the pool does not answer in time. */
  status(): Promise<PoolStatus | null>
}

const statusTimeoutMs = 3000

/** Joins the pool that has forked this process. */
export function joinPool(): PoolWorker {
  const stopped = new AbortController()
  const asked = new Map<number, (status: PoolStatus | null) => void>()
  let report: (() => Promise<Report>) | null = null
  let asks = 0
  let begin: (task: Task) => void
  const task = new Promise<Task>((resolve) => (begin = resolve))

  /** Does nothing if the pool has ended; the process then ends with its channel. */
  const send = (message: ToPool): Promise<void> =>
    new Promise((resolve) => {
      if (process.send === undefined) resolve()
      else process.send(message, undefined, undefined, () => resolve())
    })

  async function answerReport(id: number): Promise<void> {
    if (report !== null) await send({ kind: 'report', id, report: await report() })
  }

  process.on('message', (message: ToWorker) => {
    switch (message.kind) {
      case 'begin':
        return begin(message.task)
      case 'stop':
        return stopped.abort(new LockstepError('STOPPED', 'Stopped with its pool.'))
      case 'report':
        return void answerReport(message.id).catch(() => undefined)
      case 'status':
        return asked.get(message.id)?.(message.status)
      default:
        return message satisfies never
    }
  })
  void send({ kind: 'hello' })

  return {
    task,
    signal: stopped.signal,
    reports(said) {
      report = said
    },
    listens: (address) => void send({ kind: 'listening', address }),
    async fails(error) {
      const { code, message, details } =
        error instanceof LockstepError ? error : { code: 'INTERNAL' as const, message: messageOf(error), details: {} }
      await send({ kind: 'failed', code, message, details })
    },
    // concurrent callers share one result
    status: cacheFor(0, async () => {
      const id = (asks += 1)
      const answer = new Promise<PoolStatus | null>((resolve) => {
        asked.set(id, resolve)
        setTimeout(resolve, statusTimeoutMs, null).unref()
      })
      await send({ kind: 'status', id })
      return await answer.finally(() => asked.delete(id))
    }),
  }
}
