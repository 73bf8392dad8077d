import { Session } from 'node:inspector'
import { workerData } from 'node:worker_threads'
import type { WatchedThread } from './import-within.ts'

// The thread that `importWithin` starts. If the main thread does not return in time, this thread ends what the main
// thread is executing. The main thread continues with its next event. On a busy machine that may be before it has
// reached the endless loop, so this thread ends it again until the main thread has returned.
const { free, timeoutMs, againMs } = workerData as WatchedThread
let session: Session | undefined
for (let waitMs = timeoutMs; Atomics.wait(free, 0, 0, waitMs) === 'timed-out'; waitMs = againMs) {
  if (session === undefined) {
    session = new Session()
    session.connectToMainThread()
  }
  session.post('Runtime.terminateExecution')
}
