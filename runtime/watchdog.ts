import { Worker } from 'node:worker_threads'
import type { Config } from './config.ts'
import type { Logger } from './log.ts'

/** The data of the thread. */
export interface Watched {
  /** Goes up while the event loop turns. */
  readonly beats: Int32Array
  /** How many looks, one a second, may find no beat. */
  readonly looks: number
  /** Whether it may say so in the log. */
  readonly logs: boolean
}

/** Two for each look, so that none falls between them. */
const beatMs = 500
/** Queries of the embedded database are work of the same thread, and one may take as long as it takes. */
const defaultSeconds = { embedded: 0, postgres: 30 } as const

/**
 * Starts a thread that ends this process once its event loop has stood still for this long. One call of a built-in
 * function may take hours, and until it returns the process answers no request, deadline or signal. A supervisor then
 * restarts the process. The thread does not keep the process running. It is never closed, so it also watches the
 * shutdown.
 */
export function startWatchdog({ watchdogSeconds, postgresUrl, logLevel }: Config, log: Logger): void {
  const seconds = watchdogSeconds ?? defaultSeconds[postgresUrl === null ? 'embedded' : 'postgres']
  if (seconds === 0) return
  const beats = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
  const workerData: Watched = { beats, looks: seconds, logs: logLevel !== 'silent' }
  const file = new URL(`./watchdog-worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)
  const thread = new Worker(file, { workerData, execArgv: [], resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 1 } })
  thread.on('error', (error) => log.warn({ err: error }, 'the watchdog has failed: this process is not killed if its event loop blocks'))
  thread.unref()
  setInterval(() => Atomics.add(beats, 0, 1), beatMs).unref()
}
