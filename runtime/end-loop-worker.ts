import { Session } from 'node:inspector'
import { parentPort, workerData } from 'node:worker_threads'
import type { WatchedThread } from './import-within.ts'

// The thread that `importWithin` starts. If the main thread does not return in time, this thread ends what the main
// thread is executing. The main thread continues with its next event. On a busy machine that may be before it has
// reached the endless loop, so this thread ends it again until the main thread has returned.
const { state, unwatched, watched, ending, timeoutMs, againMs } = workerData as WatchedThread
/** How long it waits at a time. */
const stepMs = 50
let session: Session | undefined

function connect(): Session {
  const made = new Session()
  made.connectToMainThread()
  return made
}

/** Counts steps, and not time: where the machine stood still, the main thread did, too. */
function timesOut(waitMs: number): boolean {
  for (let step = 0; step * stepMs < waitMs; step++) if (Atomics.wait(state, 0, watched, stepMs) !== 'timed-out') return false
  return true
}

// waiting for an answer of the main thread does not keep this thread alive
const alive = setInterval(() => {}, againMs)
Atomics.wait(state, 0, unwatched) // the import has yet to begin
for (let waitMs = timeoutMs; timesOut(waitMs); waitMs = againMs) {
  if (Atomics.compareExchange(state, 0, watched, ending) !== watched) break
  const connected = (session ??= connect())
  // answered once the main thread has left what it executed
  await new Promise<void>((ended) => connected.post('Runtime.terminateExecution', () => ended()))
  Atomics.store(state, 0, watched)
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  parentPort?.postMessage(null)
}
clearInterval(alive)
