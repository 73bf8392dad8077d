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
  /** The file that a worker runs; it calls `joinPool`. */
  readonly file: string
  readonly count: number
  readonly task: Omit<Task, 'lead' | 'warmMs'>
  readonly log: Logger
  /** How often each is asked how it stands. Default: 2000. */
  readonly lookMs?: number
}

/** Several processes behind one port. */
export interface WorkerPool {
  /**
   * Resolves once all listen.
   *
   * @throws LockstepError what the first that failed said
   */
  start(): Promise<Address>
  /** Has all finish what they do, and resolves once they are gone. */
  close(): Promise<void>
}

/** How long a worker that takes another's place may take to be ready, before it listens all the same. */
const warmMs = 10_000
/** How long a worker may take to say how it stands. */
const reportMs = 1000
/** How often it is asked unasked: so much of its counts is lost at most if it is killed. */
const defaultLookMs = 2000
/**
 * One that has said nothing so many times in a row does not come back: something holds its only thread. Looks are
 * counted, and not time, as the machine may have stood still.
 */
const silentLooks = 5
/** How long all may take to finish: less than a process that was told to end gives itself. */
const closeMs = 27_000

interface Slot {
  readonly lead: boolean
  worker: Worker | null
  listening: boolean
  latest: Report | null
  failures: number
  /** How many looks in a row it has not answered. */
  silent: number
}

/**
 * Runs workers behind one port, and replaces those that die. The pool's process accepts connections and hands them out in turn: callers keep theirs for long,
 * so that costs next to nothing for a request, all workers get as many, and what waits to be accepted outlives a worker.
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
      // what a dead worker had said may come after its place was taken
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

  /** Asks all. Of a worker that is busy for longer, the counts of the last time are taken. */
  async function look(): Promise<PoolStatus> {
    const readiness = await Promise.all(slots.filter(({ listening }) => listening).map(report))
    const latest = slots.flatMap((slot) => (slot.latest === null ? [] : [slot.latest.metrics]))
    return { ...mergeReadiness(readiness, count), metrics: await metrics.all(latest) }
  }

  /** Those who ask while all are being asked get the same. */
  async function answerWhole(slot: Slot, id: number): Promise<void> {
    underWay ??= look().finally(() => (underWay = null))
    try {
      tell(slot, { kind: 'status', id, status: await underWay })
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'the metrics of the server processes cannot be merged')
    }
  }

  /** A worker whose event loop stands still answers nobody, and holds connections that others could answer. */
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
