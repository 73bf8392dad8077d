import { Session } from 'node:inspector'
import { workerData } from 'node:worker_threads'
import type { WatchedThread } from './import-within.ts'

// The thread that `importWithin` starts. If the main thread does not return in time, this thread ends what the main
// thread is executing. The main thread continues with its next event.
const { free, timeoutMs } = workerData as WatchedThread
if (Atomics.wait(free, 0, 0, timeoutMs) === 'timed-out') {
  const session = new Session()
  session.connectToMainThread()
  session.post('Runtime.terminateExecution')
}
