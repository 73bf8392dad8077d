import { messageOf } from '../../kernel/errors.ts'
import { sleep } from '../../runtime/async.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Logger } from '../../runtime/log.ts'
import { isTemporary } from '../../runtime/is-temporary.ts'
import { createRepeats } from '../../runtime/repeats.ts'
import { forgetErased } from '../prediction-log/forget-erased.ts'
import type { ExposureMetrics } from './exposure-metrics.ts'
import { RunExposures } from './run-exposures.ts'
import { createSeenUnits } from './seen-units.ts'
import type { ExposureBatch, FirstRow, UnitRows } from './write-exposures.ts'
import { markRecorder, writeExposures } from './write-exposures.ts'

/**
 * Records which units of an experiment got an answer of which variant. No request waits for it.
 *
 *     note: a new unit? -> waits -> once a second: all new units of a run in one statement -> lockstep.exposures
 *           a known one? -> is counted -> added with every thirtieth write
 */
export interface ExposureRecorder {
  /**
   * Notes an answered row. It returns at once and never throws.
   *
   * @param first what is kept of the row if the unit is new
   */
  note(run: number, variant: string, unit: string, first: () => FirstRow): void
  /** Writes all that waits within `ms`, and counts the rest as lost. */
  close(ms: number): Promise<void>
}

export interface ExposureRecorderDeps {
  /** @throws LockstepError `POSTGRES_UNAVAILABLE` */
  readonly database: () => Database
  /** @param waiting how many units wait */
  readonly metrics: (waiting: () => number) => ExposureMetrics
  readonly log: Logger
  /** Epoch microseconds. */
  readonly clock: () => number
}

export interface ExposureOptions {
  /** How long a new unit waits, milliseconds. Default: 1000. */
  readonly flushMs?: number
  /** After how many writes counts of known units are added. Default: 30. */
  readonly writesPerCount?: number
  /** How many units may wait. Default: 100,000, about 50 MB. */
  readonly maxWaiting?: number
}

/** How many units are remembered as written. A forgotten one is written again, which changes nothing. */
const maxSeen = 200_000

export function createExposureRecorder(deps: ExposureRecorderDeps, options: ExposureOptions = {}): ExposureRecorder {
  const { database, log, clock } = deps
  const { flushMs = 1000, writesPerCount = 30, maxWaiting = 100_000 } = options
  const recordings = new Map<number, RunExposures>()
  const seen = createSeenUnits(maxSeen)
  const refusals = createRepeats()
  let waiting = 0
  let writes = 0
  let timer: NodeJS.Timeout | null = null
  let writing: Promise<void> | null = null
  let failing = false
  let closed = false
  const metrics = deps.metrics(() => waiting)

  function schedule(): void {
    if (!closed && writing === null) timer ??= setTimeout(flush, flushMs).unref()
  }

  function flush(): void {
    timer = null
    writing ??= writeAll()
      .catch((error: unknown) => {
        if (!failing) log.warn({ waiting, error: messageOf(error) }, 'exposures of experiments cannot be written yet')
        failing = true
      })
      .finally(() => {
        writing = null
        if (recordings.size > 0) schedule()
      })
  }

  async function writeAll(): Promise<void> {
    writes++
    const counts = closed || writes % writesPerCount === 0
    for (const recording of recordings.values()) {
      await writeNew(recording, counts)
      if (!counts) continue
      const ended = await markRecorder(database(), recording, closed)
      if (ended && recording.isEmpty) recordings.delete(recording.run)
    }
    if (failing) log.info('exposures of experiments can be written again')
    failing = false
  }

  /** @param counts whether counts of known units are written too */
  async function writeNew(recording: RunExposures, counts: boolean): Promise<void> {
    for (;;) {
      const batch = recording.nextBatch(counts)
      if (batch === null) return
      try {
        await writeExposures(database(), batch)
        remember(batch)
        metrics.written(batch.units.filter(({ first }) => first !== null).length)
      } catch (error) {
        if (isTemporary(error)) throw error
        const units = refusals(messageOf(error), batch.units.length)
        if (units !== null) log.error({ units, error: messageOf(error) }, 'exposures of an experiment were refused')
        lose(recording, batch.units, 'refused')
      }
      waiting -= batch.units.length
      recording.endBatch()
      await forgetErasedUnits(deps, batch)
    }
  }

  function remember({ run, units }: ExposureBatch): void {
    for (const { unit, variant, first } of units) if (first !== null) seen.add(seenKey(run, keyOf(variant, unit)))
  }

  function lose(recording: RunExposures, units: readonly UnitRows[], reason: 'full' | 'refused' | 'closed'): void {
    const lost = units.filter(({ first }) => first !== null).length
    if (lost === 0) return
    recording.lost += lost
    metrics.lost(reason, lost)
  }

  function recordingOf(run: number): RunExposures {
    const known = recordings.get(run)
    if (known !== undefined) return known
    const made = new RunExposures(run)
    recordings.set(run, made)
    return made
  }

  return {
    note(run, variant, unit, first) {
      try {
        if (closed) return metrics.lost('closed', 1)
        const recording = recordingOf(run)
        const key = keyOf(variant, unit)
        const at = Math.round(clock())
        if (recording.count(key, at)) return
        const isSeen = seen.has(seenKey(run, key))
        if (waiting >= maxWaiting) {
          if (isSeen) return
          recording.lost++
          return metrics.lost('full', 1)
        }
        recording.add(key, { unit, variant, at, lastAt: at, rows: 1, first: isSeen ? null : first() })
        waiting++
        schedule()
      } catch (error) {
        log.error({ error: messageOf(error) }, 'an exposure cannot be recorded')
      }
    },
    async close(ms) {
      closed = true
      clearTimeout(timer ?? undefined)
      const deadline = performance.now() + ms
      const timeout = sleep(ms, { ref: false })
      while (recordings.size > 0 && performance.now() < deadline) {
        flush()
        await Promise.race([writing, timeout])
        if (failing) break
      }
      for (const recording of recordings.values()) lose(recording, recording.units(), 'closed')
      recordings.clear()
      waiting = 0
    },
  }
}

/** Entities that are erased meanwhile must not come back. */
async function forgetErasedUnits({ database, log }: ExposureRecorderDeps, { units }: ExposureBatch): Promise<void> {
  const entities = units.flatMap(({ first }) => first?.entities ?? [])
  if (entities.length === 0) return
  try {
    await forgetErased(database(), Math.min(...units.map(({ at }) => at)) / 1000, entities)
  } catch (error) {
    log.warn({ error: messageOf(error) }, 'it is not known whether units of an experiment were erased meanwhile')
  }
}

function keyOf(variant: string, unit: string): string {
  return `${variant}\0${unit}`
}

function seenKey(run: number, key: string): string {
  return `${run}\0${key}`
}
