import { pathToFileURL } from 'node:url'
import { isMainThread, Worker } from 'node:worker_threads'
import { setImmediate, setTimeout } from 'node:timers/promises'

/**
 * How much later than the main thread its watcher acts. Where the main thread is free, it has given up by then, and
 * ending what it executes would end the wrong thing; a busy machine may hold it up for some hundred milliseconds.
 */
const graceMs = 1000

/**
 * Imports a module, and gives up after some time. A top-level await that never settles would otherwise end the process
 * without a word, and an endless loop would hold it for ever, deaf to signals: a thread beside this one ends the loop
 * from outside.
 */
export async function importWithin(path: string, timeoutMs: number): Promise<unknown> {
  const done = new AbortController()
  const timeout = setTimeout(timeoutMs, undefined, { signal: done.signal }).then(() => {
    throw new Error(`it has not finished after ${timeoutMs / 1000} s; remove the endless loop, or the top-level await that never settles`)
  })
  timeout.catch(() => {}) // aborted
  // another thread is ended by the one that started it
  const unwatch = isMainThread ? endLoopAfter(timeoutMs + graceMs) : () => undefined
  // a signal that has arrived would be lost with its listener
  for (let turn = 0; turn < 2; turn++) await setImmediate()
  const listenAgain = withoutListeners(['SIGINT', 'SIGTERM'])
  try {
    return await Promise.race([import(pathToFileURL(path).href), timeout])
  } finally {
    listenAgain()
    unwatch()
    done.abort()
  }
}

/**
 * Has signals end the process as they do by themselves: no listener hears of them while a loop runs.
 *
 * @returns what puts the listeners back
 */
function withoutListeners(signals: readonly NodeJS.Signals[]): () => void {
  const kept = signals.flatMap((signal) => process.listeners(signal).map((listener) => ({ signal, listener })))
  for (const { signal, listener } of kept) process.off(signal, listener)
  return () => {
    for (const { signal, listener } of kept) process.on(signal, listener)
  }
}

/** @returns what stops the watching */
function endLoopAfter(timeoutMs: number): () => void {
  const free = new Int32Array(new SharedArrayBuffer(4))
  // the script lies beside this file, as .ts in the repository and as .js once built
  const script = new URL(`./end-loop-worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)
  const worker = new Worker(script, { workerData: { free, timeoutMs, againMs: graceMs } satisfies WatchedThread, execArgv: [] })
  worker.unref()
  worker.on('error', () => {}) // a machine that gives no more threads loads its definitions unwatched
  return () => {
    Atomics.store(free, 0, 1)
    Atomics.notify(free, 0)
  }
}

export interface WatchedThread {
  /** Becomes 1 when the main thread has come back. */
  readonly free: Int32Array
  readonly timeoutMs: number
  /** How long to wait before ending it again. */
  readonly againMs: number
}
