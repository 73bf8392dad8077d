import { pathToFileURL } from 'node:url'
import { isMainThread, Worker } from 'node:worker_threads'
import { setImmediate } from 'node:timers/promises'

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
  // another thread is ended by the one that started it
  const watcher = isMainThread ? startWatcher(timeoutMs + graceMs) : null
  // a signal that has arrived would be lost with its listener
  for (let turn = 0; turn < 2; turn++) await setImmediate()
  const listenAgain = withoutListeners(['SIGINT', 'SIGTERM'])
  let timeout: NodeJS.Timeout | undefined
  try {
    return await new Promise((resolve, reject) => {
      let settle = (): void =>
        reject(
          new Error(`it has not finished after ${timeoutMs / 1000} s; remove the endless loop, or the top-level await that never settles`),
        )
      // the watcher must not end what continues after this promise
      const settleUnwatched = (): void => {
        if (watcher === null || watcher.stop()) settle()
      }
      watcher?.worker.on('message', settleUnwatched)
      timeout = setTimeout(settleUnwatched, timeoutMs)
      const settleBy = (by: () => void): void => {
        settle = by
        settleUnwatched()
      }
      // in a microtask: if the watcher ends what it executes, this function already waits for the promise
      const importing = Promise.resolve().then((): Promise<unknown> => {
        watcher?.watch()
        return import(pathToFileURL(path).href)
      })
      importing.then(
        (namespace: unknown) => settleBy(() => resolve(namespace)),
        (error: unknown) => settleBy(() => reject(error)),
      )
    })
  } finally {
    listenAgain()
    clearTimeout(timeout)
    watcher?.worker.unref()
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

/** The states of a watched thread. Both threads change them by compare-and-set. */
const [unwatched, watched, stopped, ending] = [0, 1, 2, 3] as const

interface Watcher {
  /** Sends a message after it has ended what this thread executed. Until `unref`, it keeps the process alive. */
  readonly worker: Worker
  /** Begins to count the time. */
  watch(): void
  /** @returns false if it is just ending what this thread executes. Try again at its message. */
  stop(): boolean
}

function startWatcher(timeoutMs: number): Watcher {
  const state = new Int32Array(new SharedArrayBuffer(4))
  // the script lies beside this file, as .ts in the repository and as .js once built
  const script = new URL(`./end-loop-worker${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)
  const workerData: WatchedThread = { state, unwatched, watched, ending, timeoutMs, againMs: graceMs }
  const worker = new Worker(script, { workerData, execArgv: [] })
  worker.on('error', () => {}) // a machine that gives no more threads loads its definitions unwatched
  return {
    worker,
    watch() {
      Atomics.compareExchange(state, 0, unwatched, watched)
      Atomics.notify(state, 0)
    },
    stop() {
      if (Atomics.compareExchange(state, 0, watched, stopped) === ending) return false
      Atomics.compareExchange(state, 0, unwatched, stopped)
      Atomics.notify(state, 0)
      return true
    },
  }
}

export interface WatchedThread {
  /** `unwatched`: the import has yet to begin; `watched`; `ending`. Another number: it is no longer watched. */
  readonly state: Int32Array
  readonly unwatched: number
  readonly watched: number
  readonly ending: number
  readonly timeoutMs: number
  /** How long to wait before ending it again. */
  readonly againMs: number
}
