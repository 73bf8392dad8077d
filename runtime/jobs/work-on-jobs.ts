import { setTimeout } from 'node:timers/promises'
import { messageOf } from '../../kernel/errors.ts'
import type { Database } from '../postgres/database.ts'
import { sharedNowMicros } from '../postgres/database-clock.ts'
import { isDiskFull, isTemporary } from '../is-temporary.ts'
import type { StepOptions } from './do-step.ts'
import { doStep } from './do-step.ts'
import { createScheduleFirer } from './fire-schedules.ts'
import { watchTables } from './lost-tables.ts'
import type { JobKind } from './job-kind.ts'
import { listenToJobs } from './job-notices.ts'
import { claimStep, unknownKinds } from './steps.ts'
import { createTurns } from './turns.ts'

export interface WorkOptions extends StepOptions {
  /** How many steps at a time, and one more of an urgent kind. Default: 1. */
  readonly concurrency?: number
  /** The one job to work on. Absent: all, and schedules are kept too. */
  readonly only?: number
  /** The names of all kinds that this version has, of which `kinds` may be some: others are reported. */
  readonly known?: readonly string[]
  /** How long it waits for a notice before it looks for steps again. Default: 1,000. */
  readonly idleMs?: number
  /** Epoch microseconds, for schedules. Default: this machine's clock, or the database's where that is behind it. */
  readonly clock?: () => number
}

const defaultIdleMs = 1_000
/** How long it waits while a store is unavailable. */
const unavailableMs = 2_000
/** How long it claims no step after one failed for a full disk, so that workers with room claim it. */
const fullDiskMs = 60_000

/**
 * Claims steps of jobs, one after another, until the signal. It survives outages: jobs whose store is
 * unavailable wait, and others do not wait for them.
 *
 * @param db must outlive the signal, so that steps can be handed back
 */
export async function workOnJobs(db: Database, options: WorkOptions): Promise<void> {
  const stop = new AbortController()
  const signal = AbortSignal.any([options.signal, stop.signal])
  const notices = await listenToJobs(db)
  const firer = options.only === undefined ? createScheduleFirer(db, options.kinds, options.worker) : null
  const reported = new Set<string>()

  async function look(): Promise<void> {
    if (options.only !== undefined) return
    await firer?.fire(options.clock?.() ?? (await sharedNowMicros(db, Date.now() * 1000)))
    for (const kind of options.known === undefined ? [] : await unknownKinds(db, options.known)) {
      if (!reported.has(kind)) options.onEvent?.({ type: 'unknown kind', kind })
      reported.add(kind)
    }
  }

  /** Does something again and again: at once where there was something to do, else after a notice or a while. */
  async function again(what: () => Promise<'more' | 'idle' | { readonly unavailable: string }>, woken: boolean): Promise<void> {
    const tables = watchTables(db)
    while (!signal.aborted) {
      const heard = notices.heard()
      let waitMs = options.idleMs ?? defaultIdleMs
      try {
        const found = await what()
        if (found === 'more') continue
        if (found !== 'idle') {
          options.onEvent?.({ type: 'unavailable', error: found.unavailable })
          waitMs = unavailableMs
        }
      } catch (error) {
        if (signal.aborted) break
        const why = isTemporary(error) ? error : await tables.whyLost(error)
        if (why === null) throw error
        options.onEvent?.({ type: 'unavailable', error: messageOf(why) })
        waitMs = unavailableMs
      }
      if (woken) await notices.next(heard, waitMs, signal)
      else await setTimeout(waitMs, undefined, { signal }).catch(() => undefined)
    }
  }

  let pausedUntil = 0
  const urgent = options.kinds.filter((kind) => kind.urgent === true)
  const lanes = [...Array.from({ length: options.concurrency ?? 1 }, () => options.kinds), ...(urgent.length === 0 ? [] : [urgent])]
  const turns = createTurns(() => performance.now())
  const claiming = lanes.map((lane) =>
    again(async () => {
      const pauseMs = pausedUntil - performance.now()
      if (pauseMs > 0) await setTimeout(pauseMs, undefined, { signal })
      const { kinds, unavailable } = await workable(lane)
      const { worker, only } = options
      const claimed = await claimStep(db, { kinds, worker, rests: turns.rests, only })
      if (claimed === null) return unavailable === null ? 'idle' : { unavailable }
      const end = turns.begin(claimed.job.id)
      if (isDiskFull(await doStep(db, claimed, notices, { ...options, signal }))) pausedUntil = performance.now() + fullDiskMs
      end()
      return 'more'
    }, true),
  )
  const looking = again(async () => {
    await look()
    return 'idle'
  }, false)
  try {
    await Promise.all([...claiming, looking])
  } finally {
    stop.abort()
    await Promise.allSettled([...claiming, looking])
    await notices.close()
  }
}

/**
 * The kinds whose jobs this process can do now, with their scopes.
 *
 * @returns `unavailable`: why one of the others cannot be done
 */
async function workable(kinds: readonly JobKind[]) {
  let unavailable: string | null = null
  const can: { readonly kind: string; readonly scope: string }[] = []
  for (const kind of kinds) {
    try {
      const scopes = kind.scopes === undefined ? [(await kind.scope?.()) ?? ''] : await kind.scopes()
      can.push(...scopes.map((scope) => ({ kind: kind.name, scope })))
    } catch (error) {
      // a step that was claimed now would only use up an attempt
      unavailable ??= messageOf(error)
    }
  }
  return { kinds: can, unavailable }
}
