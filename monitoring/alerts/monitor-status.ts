import { formatTimestamp } from '../../kernel/values/time.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { CheckResult } from './check-kind.ts'

export interface MonitorStatus {
  /** The end of the newest evaluated window, RFC 3339. */
  readonly moment: string | null
  readonly checks: readonly { readonly check: string; readonly phase: 'ok' | 'pending' | 'firing'; readonly result: CheckResult }[]
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
