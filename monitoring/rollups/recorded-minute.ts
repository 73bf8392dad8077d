import type { Role } from '../role.ts'
import type { ForgottenEntity } from './columns-summary.ts'
import type { RollupKey, RollupWriter } from './rollup-writer.ts'
import { noModel } from './rollup-writer.ts'
import type { RowRecorder } from './row-recorder.ts'
import { TrafficSummary } from './traffic-summary.ts'

/** The answers of one version in a minute. */
export interface RecordedAnswers {
  readonly key: RollupKey
  readonly traffic: TrafficSummary
  /** null: no request of the version was answered. */
  rows: RowRecorder | null
}

/** The answers of a process in one minute. */
export class RecordedMinute {
  /** Epoch microseconds at which it began. */
  readonly minute: number
  readonly ofProcess = new TrafficSummary()
  /** By model, then by version and role. */
  readonly #answers = new Map<string, RecordedAnswers[]>()

  constructor(minute: number) {
    this.minute = minute
  }

  of(model: string, version: number, role: Role): RecordedAnswers {
    let ofModel = this.#answers.get(model)
    if (ofModel === undefined) this.#answers.set(model, (ofModel = []))
    for (let i = 0; i < ofModel.length; i++) {
      const { key } = ofModel[i] as RecordedAnswers
      if (key.version === version && key.role === role) return ofModel[i] as RecordedAnswers
    }
    const added: RecordedAnswers = { key: { model, version, role }, traffic: new TrafficSummary(), rows: null }
    ofModel.push(added)
    return added
  }

  /** Whether it has nothing to write but the time of the processor. */
  get isEmpty(): boolean {
    return this.#answers.size === 0 && this.ofProcess.errors.size === 0 && this.ofProcess.ages.size === 0
  }

  forget(erased: ForgottenEntity): void {
    for (const ofModel of this.#answers.values()) for (const { rows } of ofModel) rows?.forget(erased)
  }

  /** Hands all of it to the writer. */
  addTo(writer: RollupWriter, process: string): void {
    writer.add(this.minute, process, { key: noModel, traffic: this.ofProcess, columns: null })
    for (const ofModel of this.#answers.values()) {
      for (const { key, traffic, rows } of ofModel) writer.add(this.minute, process, { key, traffic, columns: rows?.summary() ?? null })
    }
  }
}
