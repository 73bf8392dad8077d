import { writeSync } from 'node:fs'
import { workerData } from 'node:worker_threads'
import type { Watched } from './watchdog.ts'

// Ends its process once the other thread has shown no beat for so many looks. Looks are counted, and not time: where
// the machine stood still, both did.
const { beats, looks, logs } = workerData as Watched
let seen = -1
let missed = 0
setInterval(() => {
  const now = Atomics.load(beats, 0)
  missed = now === seen ? missed + 1 : 0
  seen = now
  if (missed < looks) return
  if (logs) say()
  process.kill(process.pid, 'SIGKILL')
}, 1000)

/** The log belongs to the other thread. A pipe that is full is not waited for: the other has set it so. */
function say(): void {
  const msg = 'the event loop is blocked; the process is killed'
  const line = { level: 'fatal', time: new Date().toISOString(), pid: process.pid, seconds: looks, msg }
  try {
    writeSync(2, `${JSON.stringify(line)}\n`)
  } catch {
    // it ends all the same
  }
}
