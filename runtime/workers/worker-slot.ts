import type { Worker } from 'node:cluster'
import type { Report, ToWorker } from './messages.ts'

/** The time limit for a worker's report. */
const reportMs = 1000

/** A place in a pool: its present worker process, and what is known of it. */
export class WorkerSlot {
  readonly lead: boolean
  worker: Worker | null = null
  listening = false
  latest: Report | null = null
  /** The number of consecutive reports that the worker has missed. */
  silent = 0
  /** The number of consecutive deaths. */
  failures = 0
  #asked: { readonly id: number; readonly answer: (report: Report | null) => void } | null = null
  #asks = 0

  constructor(lead: boolean) {
    this.lead = lead
  }

  tell(message: ToWorker): void {
    if (this.worker?.isConnected() === true) this.worker.send(message, () => undefined)
  }

  /** Asks for a report. One is asked for at a time. @returns null: there was none in time */
  async report(): Promise<Report | null> {
    const id = (this.#asks += 1)
    return await new Promise<Report | null>((resolve) => {
      const timer = setTimeout(() => answer(null), reportMs)
      const answer = (report: Report | null): void => {
        clearTimeout(timer)
        this.#asked = null
        resolve(report)
      }
      this.#asked = { id, answer }
      this.tell({ kind: 'report', id })
    })
  }

  /** Takes a report, which may come too late for the question of this id. */
  reported(id: number, report: Report): void {
    this.latest = report
    this.silent = 0
    if (this.#asked?.id === id) this.#asked.answer(report)
  }

  /** Forgets the worker, which has ended. */
  clear(): void {
    this.worker = null
    this.listening = false
    this.latest = null
    this.silent = 0
    this.#asked?.answer(null)
  }
}
