import type { ShadowJob } from './shadow-job.ts'

/** Jobs whose rows wait to run in shadow, the oldest first. */
export interface ShadowQueue {
  /** Rows that do not fit are dropped. */
  add(job: ShadowJob): void
  /** Takes the jobs of the next flight out of the queue. Those that are not to run any more are dropped. */
  next(busy: boolean): ShadowJob[]
  isEmpty(): boolean
  /** Forgets all jobs, without counting them as dropped. */
  clear(): void
}

const rowsPerFlight = 64
/** Rows that waited longer are dropped: their features would have to be read from the history. */
const maxAgeMs = 5000

export function createShadowQueue(
  maxRows: number,
  drop: (job: ShadowJob, rows: number, reason: 'busy' | 'full' | 'late') => void,
): ShadowQueue {
  let jobs: ShadowJob[] = []
  let waitingRows = 0
  return {
    add(job) {
      const taken = job.taken.slice(0, maxRows - waitingRows)
      if (taken.length < job.taken.length) drop(job, job.taken.length - taken.length, 'full')
      if (taken.length === 0) return
      jobs.push({ ...job, taken })
      waitingRows += taken.length
    },
    next(busy) {
      const next: ShadowJob[] = []
      let [at, rows] = [0, 0]
      for (; at < jobs.length && rows < rowsPerFlight; at++) {
        const job = jobs[at] as ShadowJob
        const { length } = job.taken
        waitingRows -= length
        if (busy) drop(job, length, 'busy')
        else if (performance.now() - job.sinceMs > maxAgeMs) drop(job, length, 'late')
        else {
          rows += length
          next.push(job)
        }
      }
      jobs = jobs.slice(at)
      return next
    },
    isEmpty: () => jobs.length === 0,
    clear() {
      jobs = []
      waitingRows = 0
    },
  }
}
