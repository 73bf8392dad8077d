import type { Worker } from 'node:cluster'
import cluster from 'node:cluster'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { Logger } from '../log.ts'
import { backOff } from './back-off.ts'
import { closeUnclaimed } from './close-unclaimed.ts'
import { mergeReadiness } from './merge-readiness.ts'
import type { Address, Report, Task, ToPool, ToWorker, PoolStatus } from './messages.ts'
import { createPoolMetrics } from './pool-metrics.ts'

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
/** The time limit for a worker's report. */
const reportMs = 1000
/** The report interval. A killed worker loses at most the counts of this time. */
const defaultLookMs = 2000
/**
 * A worker that misses this many consecutive reports is stuck. Reports are counted instead of time, because the machine
 * may have been suspended.
 */
const silentLooks = 5
/** The time limit for all workers to finish. It is shorter than that of the process itself. */
const closeMs = 27_000

interface Slot {
  readonly lead: boolean
  worker: Worker | null
  listening: boolean
  latest: Report | null
  failures: number
  /** The number of consecutive reports that the worker has missed. */
  silent: number
}

/**
 * Runs workers behind one port and replaces those that die. The pool's process accepts connections and distributes them
 * round-robin. Connections are long-lived, so this costs little per request. All workers get equally many, and waiting
 * connections survive the death of a worker.
 */
export function createWorkerPool({ file, count, task, log, lookMs = defaultLookMs }: PoolOptions): WorkerPool {
  const slots = Array.from({ length: count }, (_, i): Slot => ({
    lead: i === 0,
    worker: null,
    listening: false,
    latest: null,
    failures: 0,
    silent: 0,
  }))
  const metrics = createPoolMetrics(() => slots.filter(({ listening }) => listening).length)
  const asked = new Map<number, { readonly slot: Slot; readonly answer: (report: Report | null) => void }>()
  const timers = new Set<NodeJS.Timeout>()
  let asks = 0
  let closing = false
  let underWay: Promise<PoolStatus> | null = null
  let started: (address: Address) => void
  let refused: (error: Error) => void
  const starting = new Promise<Address>((resolve, reject) => ([started, refused] = [resolve, reject]))
  starting.catch(() => undefined)

  function tell({ worker }: Slot, message: ToWorker): void {
    if (worker?.isConnected() === true) worker.send(message, () => undefined)
  }

  function fork(slot: Slot, warm: boolean): void {
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

  function hear(slot: Slot, message: ToPool, warm: boolean): void {
    switch (message.kind) {
      case 'hello':
        tell(slot, closing ? { kind: 'stop' } : { kind: 'begin', task: { ...task, lead: slot.lead, warmMs: warm ? warmMs : 0 } })
        return
      case 'listening':
        slot.listening = true
        log.info({ lead: slot.lead, worker: slot.worker?.process.pid }, 'a worker listens')
        if (slots.every(({ listening }) => listening)) started(message.address)
        return
      case 'failed':
        log.error({ worker: slot.worker?.process.pid, code: message.code, error: message.message }, 'a worker failed')
        refused(new LockstepError(message.code, message.message, { details: { ...message.details } }))
        return
      case 'report':
        slot.latest = message.report
        slot.silent = 0
        asked.get(message.id)?.answer(message.report)
        return
      case 'status':
        void answerWhole(slot, message.id)
        return
      default:
        message satisfies never
    }
  }

  async function lost(slot: Slot, livedMs: number, code: number | null, signal: string | null): Promise<void> {
    const { latest, worker } = slot
    slot.worker = null
    slot.listening = false
    slot.latest = null
    slot.silent = 0
    for (const { slot: of, answer } of asked.values()) if (of === slot) answer(null)
    if (latest !== null) await metrics.gone(latest.metrics)
    refused(new LockstepError('INTERNAL', `A server process ended with ${signal ?? code ?? 'no code'} before it listened.`))
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

  async function report(slot: Slot): Promise<Report | null> {
    const id = (asks += 1)
    return await new Promise<Report | null>((resolve) => {
      const cap = setTimeout(() => answer(null), reportMs)
      const answer = (report: Report | null): void => {
        clearTimeout(cap)
        asked.delete(id)
        resolve(report)
      }
      asked.set(id, { slot, answer })
      tell(slot, { kind: 'report', id })
    })
  }

  /** Asks all workers. If a worker is busy, its last counts are used. */
  async function look(): Promise<PoolStatus> {
    const readiness = await Promise.all(slots.filter(({ listening }) => listening).map(report))
    const latest = slots.flatMap((slot) => (slot.latest === null ? [] : [slot.latest.metrics]))
    return { readiness: mergeReadiness(readiness, count), metrics: await metrics.all(latest) }
  }

  /** Concurrent callers share one result. */
  async function answerWhole(slot: Slot, id: number): Promise<void> {
    underWay ??= look().finally(() => (underWay = null))
    try {
      tell(slot, { kind: 'status', id, status: await underWay })
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
    const gone = slots.map(
      ({ worker }) => new Promise<void>((resolve) => (worker === null ? resolve() : worker.once('exit', () => resolve()))),
    )
    for (const slot of slots) tell(slot, { kind: 'stop' })
    const cap = setTimeout(() => {
      for (const { worker } of slots) worker?.process.kill('SIGKILL')
    }, closeMs)
    await Promise.all(gone)
    clearTimeout(cap)
  }

  return {
    async start() {
      cluster.schedulingPolicy = cluster.SCHED_RR
      cluster.setupPrimary({ exec: file, args: [] })
      for (const slot of slots) fork(slot, false)
      const address = await starting
      const timer = setInterval(() => {
        endSilent()
        underWay ??= look().finally(() => (underWay = null))
        underWay.catch(() => undefined)
      }, lookMs)
      timers.add(timer.unref())
      return address
    },
    close,
  }
}
