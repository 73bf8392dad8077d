import { didYouMean } from '../../kernel/did-you-mean.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { CheckResult } from './check-kind.ts'
import type { ActiveMonitor, ActiveMonitors } from './default-monitors.ts'
import { noDataCheck } from './record-evaluation.ts'

interface MonitorStatus {
  /** The end of the newest evaluated window, RFC 3339. */
  readonly moment: string | null
  readonly checks: readonly { readonly check: string; readonly phase: 'ok' | 'pending' | 'firing'; readonly result: CheckResult }[]
}

/** A monitor with its newest results. */
export interface ListedMonitor extends ActiveMonitor {
  /** The end of the newest evaluated window, RFC 3339; null: no worker has evaluated it yet. */
  readonly evaluatedAt: string | null
  readonly results: MonitorStatus['checks']
}

/** All monitors with their newest results, by name. */
export async function listMonitors(db: Pick<Database, 'kysely'>, { monitors }: ActiveMonitors): Promise<ListedMonitor[]> {
  const states = await readMonitorStates(db)
  return monitors.map((monitor) => {
    const { moment = null, checks = [] } = states.get(monitor.name) ?? {}
    return { ...monitor, evaluatedAt: moment, results: checks }
  })
}

/** The states of all monitors that were evaluated, by name. */
export async function readMonitorStates({ kysely }: Pick<Database, 'kysely'>): Promise<Map<string, MonitorStatus>> {
  const monitors = await kysely.selectFrom('lockstep.monitors').select(['name', 'moment']).execute()
  const states = await kysely
    .selectFrom('lockstep.monitor_states')
    .select(['monitor', 'check_kind', 'phase', 'result'])
    .orderBy('check_kind')
    .orderBy('subject')
    .execute()
  const byMonitor = Map.groupBy(states, ({ monitor }) => monitor)
  return new Map(
    monitors.map(({ name, moment }) => [
      name,
      {
        moment: moment === null ? null : formatTimestamp(Number(moment)),
        checks: (byMonitor.get(name) ?? []).map(({ check_kind, phase, result }) => ({
          check: check_kind,
          phase,
          result: result as CheckResult, // json that record-evaluation.ts alone writes
        })),
      },
    ]),
  )
}

/** The worst phase of a monitor's results, and how many say nothing. */
export function monitorState(all: ListedMonitor['results']): {
  /** null: no worker has evaluated it yet. */
  readonly phase: 'firing' | 'pending' | 'ok' | null
  readonly unknown: number
  /** `ok, 2 of 7 unknown`. If all results are unknown, none of them is ok. */
  readonly text: string
} {
  // that a check may have no data for a while longer is no finding
  const results = all.filter(({ check, phase: of }) => check !== noDataCheck || of !== 'ok')
  const phase = (['firing', 'pending', 'ok'] as const).find((each) => results.some((check) => check.phase === each)) ?? null
  const unknown = results.filter(({ result }) => result.state === 'unknown').length
  if (phase === null) return { phase, unknown, text: 'not evaluated yet: it waits for a worker' }
  if (unknown === 0) return { phase, unknown, text: phase }
  return {
    phase,
    unknown,
    text: unknown === results.length && phase === 'ok' ? 'unknown' : `${phase}, ${unknown} of ${results.length} unknown`,
  }
}

/** @throws LockstepError `UNKNOWN_DEFINITION` */
export function monitorNamed<M extends { readonly name: string }>(monitors: readonly M[], name: string): M {
  const found = monitors.find((each) => each.name === name)
  if (found !== undefined) return found
  const hint = didYouMean(
    name,
    monitors.map((each) => each.name),
  )
  throw new LockstepError('UNKNOWN_DEFINITION', `There is no monitor "${name}".${hint} "lockstep monitor list" lists them.`, {
    details: { monitor: name },
  })
}
