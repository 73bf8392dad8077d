import type { Transaction } from 'kysely'
import { sql } from 'kysely'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Severity } from '../../registry/define/severity.ts'
import type { ChannelSpec } from '../../registry/monitor-spec.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { AlertState, MonitorFinding } from './alert-state.ts'
import { nextState, noDataFinding } from './alert-state.ts'
import type { CheckResult } from './check-kind.ts'
import type { ActiveMonitor } from './default-monitors.ts'
import type { CheckedResults } from './evaluate-monitor.ts'
import { memoryKey } from './evaluate-monitor.ts'
import { openAlerts } from './open-alerts.ts'

type Handle = Pick<Database, 'kysely'>

/** The check that says that another one has no data. */
export const noDataCheck = 'no_data'

export interface Recorded {
  /** False: another process has recorded that moment, or a later one. */
  readonly isNew: boolean
  /** The channels that have something to deliver. */
  readonly channels: readonly string[]
  /** How many results there were of each kind. */
  readonly findings: Readonly<Record<MonitorFinding, number>>
}

/** The values that each check and subject of a monitor stored for its next evaluation. */
export async function readMemories({ kysely }: Handle, monitor: string): Promise<Map<string, unknown>> {
  const rows = await kysely
    .selectFrom('lockstep.monitor_states')
    .select(['check_kind', 'subject', 'memory'])
    .where('monitor', '=', monitor)
    .where('memory', 'is not', null)
    .execute()
  return new Map(rows.map(({ check_kind, subject, memory }) => [memoryKey(check_kind, subject), memory]))
}

/**
 * Moves the alerts of a monitor by one evaluation, in one transaction: their states, their evidence, and what is to be
 * delivered. The monitor's row is locked, so of two evaluations of a moment only one counts.
 *
 * @param moment the end of the window, epoch microseconds
 */
export async function recordEvaluation(
  { kysely }: Handle,
  monitor: ActiveMonitor,
  channels: ReadonlyMap<string, ChannelSpec>,
  moment: number,
  checked: readonly CheckedResults[],
): Promise<Recorded> {
  return await kysely.transaction().execute(async (transaction) => {
    const findings = { ok: 0, breach: 0, unknown: 0 }
    if (!(await lockMonitor(transaction, monitor.name, moment))) return { isNew: false, channels: [], findings }
    const alerts = await openAlerts(transaction, monitor, channels)
    const before = new Map((await storedStates(transaction, monitor.name)).map((row) => [memoryKey(row.check, row.subject), row]))
    const seen = new Set<string>()

    async function move(check: string, result: CheckResult, severity: Severity): Promise<AlertState> {
      const key = memoryKey(check, result.subject)
      seen.add(key)
      const rules = check === noDataCheck ? { ...monitor, forMicros: 0, clearAfter: 1 } : monitor
      const { state, change } = nextState(before.get(key)?.state ?? null, result.state, moment, rules)
      await storeState(transaction, monitor.name, check, result, state)
      if (change === 'fires') await alerts.fire(check, result, severity, moment)
      else if (change === 'resolves') await alerts.resolve(check, result, moment, 'cleared')
      else if (state.phase === 'firing') await alerts.continueFiring(check, result, moment)
      return state
    }

    for (const { kind, results, error } of checked) {
      // of a check that failed, nothing is known about the subjects that it had
      const had = [...before.values()].filter(({ check }) => check === kind).map(({ subject }) => subject)
      const found = results ?? (had.length === 0 ? [kind] : had).map((subject) => failed(subject, error))
      for (const result of found) {
        findings[result.state]++
        const state = await move(kind, result, result.severity ?? monitor.severity)
        const noData = noDataResult(`${kind} of ${result.subject}`, result, state, monitor)
        if (noData !== null) await move(noDataCheck, noData, 'ticket')
      }
    }
    for (const [key, { check, result }] of before) if (!seen.has(key)) await alerts.remove(check, result, moment)
    return { isNew: true, channels: [...alerts.channels], findings }
  })
}

/**
 * Resolves the alerts of removed monitors. Evaluations that are under way keep theirs for the next time.
 *
 * @returns the channels that have something to deliver
 */
export async function endRemovedMonitors(
  { kysely }: Handle,
  monitors: readonly ActiveMonitor[],
  channels: ReadonlyMap<string, ChannelSpec>,
  moment: number,
): Promise<readonly string[]> {
  const names = monitors.map(({ name }) => name)
  return await kysely.transaction().execute(async (transaction) => {
    const gone = await transaction
      .selectFrom('lockstep.monitors')
      .select('name')
      .where(sql<boolean>`not (name = any(${names}))`)
      .forUpdate()
      .skipLocked()
      .execute()
    const notified = new Set<string>()
    for (const { name } of gone) {
      const alerts = await openAlerts(transaction, { name }, channels)
      for (const { check, result } of await storedStates(transaction, name)) await alerts.remove(check, result, moment)
      await transaction.deleteFrom('lockstep.monitors').where('name', '=', name).execute()
      for (const channel of alerts.channels) notified.add(channel)
    }
    return [...notified]
  })
}

async function lockMonitor(transaction: Transaction<LockstepTables>, name: string, moment: number): Promise<boolean> {
  await transaction
    .insertInto('lockstep.monitors')
    .values({ name, moment: null, evaluated_at: null })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  const { moment: last } = await transaction
    .selectFrom('lockstep.monitors')
    .select('moment')
    .where('name', '=', name)
    .forUpdate()
    .executeTakeFirstOrThrow()
  if (last !== null && Number(last) >= moment) return false
  await transaction
    .updateTable('lockstep.monitors')
    .set({ moment: String(moment), evaluated_at: sql<Date>`clock_timestamp()` })
    .where('name', '=', name)
    .execute()
  return true
}

interface StoredState {
  readonly check: string
  readonly subject: string
  readonly state: AlertState
  readonly result: CheckResult
}

async function storedStates(transaction: Transaction<LockstepTables>, monitor: string): Promise<StoredState[]> {
  const rows = await transaction
    .selectFrom('lockstep.monitor_states')
    .select(['check_kind', 'subject', 'state', 'result'])
    .where('monitor', '=', monitor)
    .execute()
  // written by storeState alone
  return rows.map(({ check_kind, subject, state, result }) => ({
    check: check_kind,
    subject,
    state: state as AlertState,
    result: result as CheckResult,
  }))
}

async function storeState(
  transaction: Transaction<LockstepTables>,
  monitor: string,
  check: string,
  { memory, ...found }: CheckResult,
  state: AlertState,
): Promise<void> {
  const result = { ...found, joined: undefined }
  const values = {
    phase: state.phase,
    state: JSON.stringify(state),
    result: JSON.stringify(result),
    memory: memory === undefined ? null : JSON.stringify(memory),
  }
  await transaction
    .insertInto('lockstep.monitor_states')
    .values({ monitor, check_kind: check, subject: result.subject, ...values })
    .onConflict((conflict) => conflict.columns(['monitor', 'check_kind', 'subject']).doUpdateSet(values))
    .execute()
}

function failed(subject: string, error: string | null): CheckResult {
  return {
    subject,
    state: 'unknown',
    value: null,
    threshold: null,
    n: null,
    evidence: null,
    cause: `The check failed: ${error ?? 'no reason is known'}`,
  }
}

function noDataResult(subject: string, result: CheckResult, state: AlertState, { noDataMicros }: ActiveMonitor): CheckResult | null {
  if (noDataMicros === null) return null
  const finding = noDataFinding(state, noDataMicros)
  const since = state.unknownSince === null ? null : formatTimestamp(state.unknownSince)
  const cause = finding === 'ok' ? null : `Nothing is known since ${since}. ${result.cause ?? ''}`.trim()
  return { subject, state: finding, value: null, threshold: null, n: result.n, evidence: { since }, cause }
}
