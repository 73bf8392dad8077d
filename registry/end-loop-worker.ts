import { Session } from 'node:inspector'
import { workerData } from 'node:worker_threads'
import type { WatchedThread } from './import-within.ts'

// The thread that `importWithin` starts: where the main thread does not come back in time, what it executes is ended.
// It goes on with its next event.
const { free, timeoutMs } = workerData as WatchedThread
if (Atomics.wait(free, 0, 0, timeoutMs) === 'timed-out') {
  const session = new Session()
  session.connectToMainThread()
  session.post('Runtime.terminateExecution')
}
