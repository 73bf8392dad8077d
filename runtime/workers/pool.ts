import cluster from 'node:cluster'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { cacheFor } from '../cache-for.ts'
import type { Logger } from '../log.ts'
import { backOff } from './back-off.ts'
import { closeUnclaimed } from './close-unclaimed.ts'
import { mergeReadiness } from './merge-readiness.ts'
import type { Address, Task, ToPool, PoolStatus } from './messages.ts'
import { createPoolMetrics } from './pool-metrics.ts'
import { WorkerSlot } from './worker-slot.ts'

export interface PoolOptions {
  /** The file that a worker runs. It must call `joinPool`. */
  readonly file: string
  readonly count: number
  readonly task: Omit<Task, 'lead' | 'warmMs'>
  readonly log: Logger
  /** How often each worker is asked for a report, milliseconds. Default: 2000. */
  readonly lookMs?: number
}

/**
 * Several worker processes behind one port. The workers are not threads of tinypool or piscina, which take tasks: they
 * are processes of `node:cluster` that share a port and answer requests.
 */
export interface WorkerPool {
  /**
   * Resolves once all workers listen.
   *
   * @throws LockstepError the error of the first worker that failed
   */
  start(): Promise<Address>
  /** Lets all workers finish their work, and resolves once they have ended. */
  close(): Promise<void>
}

/** How long a replacement worker waits to be ready before it listens anyway. */
const warmMs = 10_000
/** The report interval. A killed worker loses at most the counts of this time. */
const defaultLookMs = 2000
/**
 * A worker that misses this many consecutive reports is stuck. Reports are counted instead of time, because the machine
 * may have been suspended.
 */
const silentLooks = 5
/** The time limit for all workers to finish. It is shorter than that of the process itself. */
const closeMs = 27_000

/**
 * Runs workers behind one port and replaces those that die. The pool's process accepts connections and distributes them
 * round-robin. Connections are long-lived, so this costs little per request. All workers get equally many, and waiting
 * connections survive the death of a worker.
 */
export function createWorkerPool({ file, count, task, log, lookMs = defaultLookMs }: PoolOptions): WorkerPool {
  const slots = Array.from({ length: count }, (_, i) => new WorkerSlot(i === 0))
  const metrics = createPoolMetrics(() => slots.filter(({ listening }) => listening).length)
  const timers = new Set<NodeJS.Timeout>()
  let closing = false
  const starting = Promise.withResolvers<Address>()
  starting.promise.catch(() => undefined)

  function fork(slot: WorkerSlot, warm: boolean): void {
    const worker = cluster.fork()
    const since = performance.now()
    slot.worker = worker
    closeUnclaimed(worker)
    worker.on('message', (message: ToPool) => {
      // a message of a dead worker may arrive after its slot has a new worker
      if (slot.worker === worker) hear(slot, message, warm)
    })
    worker.on('error', (error) => log.warn({ worker: worker.process.pid, error: messageOf(error) }, 'a message to a server process failed'))
    worker.on('exit', (code: number | null, signal: string | null) => {
      void lost(slot, performance.now() - since, code, signal)
    })
  }

  function hear(slot: WorkerSlot, message: ToPool, warm: boolean): void {
    switch (message.kind) {
      case 'hello':
        slot.tell(closing ? { kind: 'stop' } : { kind: 'begin', task: { ...task, lead: slot.lead, warmMs: warm ? warmMs : 0 } })
        return
      case 'listening':
        slot.listening = true
        log.info({ lead: slot.lead, worker: slot.worker?.process.pid }, 'a worker listens')
        if (slots.every(({ listening }) => listening)) starting.resolve(message.address)
        return
      case 'failed':
        log.error({ worker: slot.worker?.process.pid, code: message.code, error: message.message }, 'a worker failed')
        starting.reject(new LockstepError(message.code, message.message, { details: { ...message.details } }))
        return
      case 'report':
        slot.reported(message.id, message.report)
        return
      case 'status':
        void answerStatus(slot, message.id)
        return
      default:
        message satisfies never
    }
  }

  async function lost(slot: WorkerSlot, livedMs: number, code: number | null, signal: string | null): Promise<void> {
    const { latest, worker } = slot
    slot.clear()
    if (latest !== null) await metrics.gone(latest.metrics)
    starting.reject(new LockstepError('INTERNAL', `A server process ended with ${signal ?? code ?? 'no code'} before it listened.`))
    if (closing) return
    const { waitMs, failures } = backOff(slot.failures, livedMs)
    slot.failures = failures
    metrics.replaced()
    log.error({ worker: worker?.process.pid, code, signal, waitMs }, 'a server process died and is replaced')
    const timer = setTimeout(() => {
      timers.delete(timer)
      if (!closing) fork(slot, true)
    }, waitMs)
    timers.add(timer)
  }

  /** Asks all workers. If a worker is busy, its last counts are used. Concurrent callers share one result. */
  const status = cacheFor(0, async (): Promise<PoolStatus> => {
    const readiness = await Promise.all(slots.filter(({ listening }) => listening).map((slot) => slot.report()))
    const latest = slots.flatMap((slot) => (slot.latest === null ? [] : [slot.latest.metrics]))
    return { readiness: mergeReadiness(readiness, count), metrics: await metrics.all(latest) }
  })

  async function answerStatus(slot: WorkerSlot, id: number): Promise<void> {
    try {
      slot.tell({ kind: 'status', id, status: await status() })
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'the metrics of the server processes cannot be merged')
    }
  }

  /** A worker with a blocked event loop answers nothing and holds connections that others could serve. */
  function endSilent(): void {
    for (const slot of slots) {
      if (!slot.listening || ++slot.silent <= silentLooks) continue
      log.error(
        { worker: slot.worker?.process.pid, seconds: Math.round((slot.silent * lookMs) / 1000) },
        'a server process does not answer and is killed',
      )
      metrics.silent()
      slot.listening = false
      slot.worker?.process.kill('SIGKILL')
    }
  }

  async function close(): Promise<void> {
    closing = true
    for (const timer of timers) clearTimeout(timer)
    const ended = slots.map(
      ({ worker }) => new Promise<void>((resolve) => (worker === null ? resolve() : worker.once('exit', () => resolve()))),
    )
    for (const slot of slots) slot.tell({ kind: 'stop' })
    const timer = setTimeout(() => {
      for (const { worker } of slots) worker?.process.kill('SIGKILL')
    }, closeMs)
    await Promise.all(ended)
    clearTimeout(timer)
  }

  return {
    async start() {
      cluster.schedulingPolicy = cluster.SCHED_RR
      cluster.setupPrimary({ exec: file, args: [] })
      for (const slot of slots) fork(slot, false)
      const address = await starting.promise
      const timer = setInterval(() => {
        endSilent()
        status().catch(() => undefined)
      }, lookMs)
      timers.add(timer.unref())
      return address
    },
    close,
  }
}
