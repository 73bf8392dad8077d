import { remedyOf, canBeTriedAgain } from '../next-partition.ts'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { minuteMicros } from '../../kernel/values/time.ts'
import type { ServedEntity, ServiceRow } from '../../kernel/service-plan.ts'
import type { Prediction } from '../../inference/load-model.ts'
import { sleep } from '../../runtime/async.ts'
import type { Logger } from '../../runtime/log.ts'
import { uniqueProcessName } from '../../runtime/process-name.ts'
import type { Role } from '../role.ts'
import type { ForgottenEntity } from './columns-summary.ts'
import type { RecordedAnswers } from './recorded-minute.ts'
import { RecordedMinute } from './recorded-minute.ts'
import type { BaselineBins, RecordedVersion } from './row-recorder.ts'
import { RowRecorder } from './row-recorder.ts'
import type { RollupWriter } from './rollup-writer.ts'
import { RowBudget } from './row-budget.ts'
import { TrafficSummary } from './traffic-summary.ts'

/** Rows of a request that one version has answered. */
export interface AnsweredGroup {
  readonly model: RecordedVersion & { readonly version: { readonly model: string; readonly version: number } }
  readonly role: Role
  /** The version in whose place it answered; absent: none. */
  readonly bypassed?: number | undefined
  /** Index in the request of each row. */
  readonly rows: readonly number[]
  /** The place of the first row's unit in the rollout; absent: no rollout routed it. */
  readonly place?: number | undefined
  readonly read: { readonly entities: readonly ServedEntity[]; readonly rows: readonly ServiceRow[] }
}

/** How long a request took, milliseconds. */
export interface RequestTimes {
  readonly totalMs: number
  readonly featuresMs: number
  readonly waitMs: number
  readonly runMs: number
  /** The total without the time in which only other versions ran; absent: one version answered the request. */
  readonly ownMs?: number | undefined
}

/**
 * Summarizes what this process answers, by minute of its clock, and writes each minute when it is over. A process that
 * answers nothing writes a small row each minute too, so that a gap does not look like silence.
 *
 *     answered, failed: arrays and numbers only
 *     the minute is over: encode  ->  lockstep.rollups, again until it is written
 */
export interface RollupRecorder {
  /** @param predictions of all rows of the request @param cacheHits rows that the prediction cache answered */
  answered(group: AnsweredGroup, predictions: readonly Prediction[], times: RequestTimes, cacheHits: number): void
  /**
   * A request for a model failed.
   *
   * @param version 0: before a version was chosen
   * @param isOfRows whether the candidate and then the champion failed on its rows. Rollouts do not count it
   */
  failed(model: string, version: number, role: Role, error: unknown, isOfRows?: boolean): void
  /** A version failed a request that another one has answered in its place. */
  bypassed(model: string, version: number, role: Role, error: unknown): void
  /** A protocol answered a request with an error. */
  errorAnswered(error: unknown): void
  /** A request was answered from a view whose newest row of the entity is so old. Called for a sample of answers. */
  servedAge(view: string, seconds: number): void
  /** Removes an erased entity from what is not written yet. */
  forget(erased: ForgottenEntity): void
  /** Problems of the table, for the operator: minutes that cannot be written, today or tomorrow. */
  warnings(): readonly string[]
  /** Ends the minute if it is over, and writes what waits. */
  flush(): Promise<void>
  /** Writes the present minute too, within `ms`, and says that the process ends. */
  close(ms: number): Promise<void>
}

export interface RollupRecorderDeps {
  readonly writer: RollupWriter
  /** The present baseline of a version, the same object while its bins are the same; null: none, or not loaded yet. */
  readonly baselineOf: (model: string, version: number) => BaselineBins | null
  readonly log: Logger
  /** Epoch microseconds. */
  readonly clock: () => number
}

export interface RollupRecorderOptions {
  /** The values of about this many rows a second are taken, of all versions together. */
  readonly rowsPerSecond: number
  /** Called for each attempt to write minutes that failed. */
  readonly onFailure?: () => void
}

const retryMs = 10_000
/** Processes do not write at the same moment. */
const spreadMs = 3_000

/** Records nothing. */
export const noRollups: RollupRecorder = {
  answered: () => undefined,
  failed: () => undefined,
  bypassed: () => undefined,
  errorAnswered: () => undefined,
  servedAge: () => undefined,
  forget: () => undefined,
  warnings: () => [],
  flush: () => Promise.resolve(),
  close: () => Promise.resolve(),
}

export function createRollupRecorder(
  { writer, baselineOf, log, clock }: RollupRecorderDeps,
  { rowsPerSecond, onFailure }: RollupRecorderOptions,
): RollupRecorder {
  const writtenBy = uniqueProcessName()
  const budget = rowsPerSecond > 0 ? new RowBudget(rowsPerSecond) : null
  const minuteNow = () => Math.floor(clock() / minuteMicros) * minuteMicros
  let present = new RecordedMinute(minuteNow())
  let cpu = process.cpuUsage()
  let timer: NodeJS.Timeout | null = null
  let flushing: Promise<void> | null = null
  let refused: string | null = null
  let hasEndedMinute = false
  let closed = false

  function rowsOf(own: RecordedAnswers, version: RecordedVersion): RowRecorder {
    const baseline = baselineOf(own.key.model, own.key.version)
    if (own.rows?.isOf(version, baseline) === true) return own.rows
    // the version was reloaded in this minute or has other bins, which is rare: the rows before are added separately
    if (own.rows !== null)
      writer.add(present.minute, writtenBy, { key: own.key, traffic: new TrafficSummary(), columns: own.rows.summary() })
    return (own.rows = new RowRecorder(version, baseline))
  }

  /** @param ended whether the process ends with it */
  function endMinute(next: number, ended: boolean): void {
    const used = process.cpuUsage(cpu)
    cpu = process.cpuUsage()
    present.ofProcess.cpuMicros += used.user + used.system
    present.addTo(writer, writtenBy)
    writer.end(present.minute, writtenBy, ended)
    hasEndedMinute = true
    present = new RecordedMinute(next)
  }

  function endMinuteIfOver(): void {
    const now = minuteNow()
    // after a clock was set back, the minute that it had reached lasts until it gets there again
    if (!closed && now > present.minute) endMinute(now, false)
  }

  function schedule(): void {
    if (closed) return
    const untilNextMs = Math.min(60_000, Math.max(0, (present.minute + minuteMicros - clock()) / 1000))
    const delayMs = writer.waiting > 0 ? Math.min(retryMs, untilNextMs) : untilNextMs
    timer = setTimeout(() => {
      endMinuteIfOver()
      timer = setTimeout(() => void flush().finally(schedule), Math.random() * spreadMs).unref()
    }, delayMs + 1).unref()
  }

  function flush(): Promise<void> {
    endMinuteIfOver()
    return (flushing ??= writer
      .write()
      .then(
        () => void (refused = null),
        (error: unknown) => {
          onFailure?.()
          log.warn({ error: messageOf(error) }, 'rollups cannot be written')
          refused = canBeTriedAgain(error) ? null : `The model statistics cannot be written: ${messageOf(error)}${remedyOf(error)}`
        },
      )
      .finally(() => (flushing = null)))
  }

  schedule()

  return {
    answered(group, predictions, times, cacheHits) {
      const { version } = group.model
      const { rows, entities } = group.read
      const own = present.of(version.model, version.version, group.role)
      const { traffic } = own
      traffic.requests++
      traffic.rows += rows.length
      traffic.cacheHits += cacheHits
      traffic.latency.total.observe(times.totalMs)
      traffic.latency.features.observe(times.featuresMs)
      traffic.latency.wait.observe(times.waitMs)
      traffic.latency.run.observe(times.runMs)
      const recorder = rowsOf(own, group.model)
      recorder.count(rows)
      if (budget === null) return
      budget.at(performance.now())
      for (let i = 0; i < rows.length; i++) {
        if (!budget.take()) continue
        traffic.sampledRows++
        recorder.take(entities[i] as ServedEntity, rows[i] as ServiceRow, predictions[group.rows[i] as number] as Prediction)
      }
    },
    failed(model, version, role, error) {
      const { traffic } = present.of(model, version, role)
      traffic.requests++
      traffic.addError(codeOf(error))
    },
    bypassed(model, version, role, error) {
      present.of(model, version, role).traffic.addBypassed(codeOf(error))
    },
    errorAnswered(error) {
      present.ofProcess.addError(codeOf(error))
    },
    servedAge(view, seconds) {
      present.ofProcess.addAge(view, seconds)
    },
    forget(erased) {
      present.forget(erased)
      writer.forget(erased)
    },
    warnings: () => (refused === null ? writer.warnings() : [refused]),
    flush,
    async close(ms) {
      if (closed) return
      endMinuteIfOver()
      // of a server that could not start there is nothing to write, and maybe no database
      const hasRecords = hasEndedMinute || !present.isEmpty
      if (hasRecords) endMinute(present.minute, true)
      closed = true
      clearTimeout(timer ?? undefined)
      if (!hasRecords) return
      const timeout = sleep(ms, { ref: false })
      await Promise.race([(flushing ?? Promise.resolve()).then(flush), timeout])
      if (writer.waiting > 0) log.warn({ minutes: writer.waiting }, 'minutes of the rollups were not written')
    },
  }
}

function codeOf(error: unknown): string {
  return error instanceof LockstepError ? error.code : 'INTERNAL'
}
