import { sql } from 'kysely'
import { describe, expect, it } from 'vitest'
import type { Alert } from '../../../monitoring/alerts/read-alerts.ts'
import { readAlerts, readDeliveries } from '../../../monitoring/alerts/read-alerts.ts'
import { endRemovedMonitors, readMemories, recordEvaluation } from '../../../monitoring/alerts/record-evaluation.ts'
import { silenceAlert, unsilenceAlert } from '../../../monitoring/alerts/silences.ts'
import { readMonitorStates } from '../../../monitoring/alerts/monitor-list.ts'
import { during, openServer } from '../../opened-database.ts'
import { checked, clockMonitor, hookAt, minute, result } from './monitors.ts'

const opened = during(openServer)
const channels = hookAt('https://alerts.example')
const by = { actor: 'ada@test', reason: 'a test' }

async function alertsOf(monitor: string): Promise<(Alert & { readonly sent: readonly string[] })[]> {
  const alerts = await readAlerts(opened().db, { monitor })
  return await Promise.all(
    alerts.map(async (alert) => ({ ...alert, sent: (await readDeliveries(opened().db, alert.id)).map(({ event }) => event) })),
  )
}

describe('an evaluation', () => {
  it('lets an alert fire once, keeps its evidence, and resolves it', async () => {
    const monitor = clockMonitor('once')
    for (const [i, state] of (['breach', 'breach', 'ok'] as const).entries())
      await recordEvaluation(opened().db, monitor, channels, (i + 1) * minute, checked(result(state, 'clock', 3 + i)))
    expect(await alertsOf('once')).toMatchObject([
      {
        state: 'resolved',
        resolution: 'cleared',
        severity: 'page',
        check: 'clock',
        started: minute,
        resolved: 3 * minute,
        startedWith: { value: 3, cause: 'The clock is wrong.', evidence: { host: 'a' } },
        result: { value: 5, state: 'ok' },
        description: 'Clocks agree.',
        runbook: 'https://wiki.example/clock',
        sent: ['firing', 'resolved'],
      },
    ])
  })

  it('counts once for each moment, also where several processes have it at once', async () => {
    const monitor = clockMonitor('raced')
    const all = await Promise.all(
      Array.from({ length: 6 }, () => recordEvaluation(opened().db, monitor, channels, minute, checked(result('breach')))),
    )
    expect(all.filter(({ isNew }) => isNew)).toHaveLength(1)
    expect(all.flatMap(({ channels: told }) => told)).toEqual(['hook'])
    expect(await recordEvaluation(opened().db, monitor, channels, minute, checked(result('ok')))).toMatchObject({ isNew: false })
    expect(await alertsOf('raced')).toMatchObject([{ state: 'firing', sent: ['firing'] }])
  })

  it('has an alert for each subject', async () => {
    const monitor = clockMonitor('subjects')
    await recordEvaluation(opened().db, monitor, channels, minute, checked(result('breach', 'a'), result('ok', 'b'), result('breach', 'c')))
    expect((await alertsOf('subjects')).map(({ subject }) => subject).toSorted()).toEqual(['a', 'c'])
  })

  it('resolves the alert of a subject that is gone, and of a monitor that is gone', async () => {
    const monitor = clockMonitor('gone')
    await recordEvaluation(opened().db, monitor, channels, minute, checked(result('breach', 'a'), result('breach', 'b')))
    await recordEvaluation(opened().db, monitor, channels, 2 * minute, checked(result('breach', 'b')))
    expect(await alertsOf('gone')).toMatchObject([
      { subject: 'b', state: 'firing' },
      { subject: 'a', state: 'resolved', resolution: 'removed', sent: ['firing', 'resolved'] },
    ])
    const { rows } = await sql<{ summary: string }>`
      select message->>'summary' as summary from lockstep.alert_deliveries
      where message->>'event' = 'resolved' and message->>'monitor' = 'gone'`.execute(opened().db.kysely)
    expect(rows).toEqual([{ summary: 'No longer watched: gone: clock of a' }])
    const others = [...(await readMonitorStates(opened().db)).keys()].filter((name) => name !== 'gone').map((name) => clockMonitor(name))
    await endRemovedMonitors(opened().db, others, channels, 3 * minute)
    expect(await alertsOf('gone')).toMatchObject([{ resolution: 'removed' }, { subject: 'a' }])
    expect((await readMonitorStates(opened().db)).has('gone')).toBe(false)
  })

  it('takes a check that failed for unknown: it clears no alert', async () => {
    const monitor = clockMonitor('failing')
    await recordEvaluation(opened().db, monitor, channels, minute, checked(result('breach')))
    for (const i of [2, 3, 4])
      await recordEvaluation(opened().db, monitor, channels, i * minute, [{ kind: 'clock', results: null, error: 'no such view' }])
    expect(await alertsOf('failing')).toMatchObject([{ state: 'firing', started: minute }])
    const [check] = (await readMonitorStates(opened().db)).get('failing')?.checks ?? []
    expect(check).toMatchObject({ phase: 'firing', result: { state: 'unknown', cause: 'The check failed: no such view' } })
  })

  it('opens a ticket where there is no data for long enough, and closes it', async () => {
    const monitor = clockMonitor('silent', { noDataMicros: 2 * minute })
    for (const [i, state] of (['ok', 'unknown', 'unknown', 'unknown'] as const).entries())
      await recordEvaluation(opened().db, monitor, channels, (i + 1) * minute, checked(result(state)))
    expect(await alertsOf('silent')).toMatchObject([{ check: 'no_data', subject: 'clock of clock', severity: 'ticket', state: 'firing' }])
    await recordEvaluation(opened().db, monitor, channels, 5 * minute, checked(result('ok')))
    expect(await alertsOf('silent')).toMatchObject([{ check: 'no_data', state: 'resolved' }])
  })

  it('keeps what a check wants to remember', async () => {
    const monitor = clockMonitor('memory')
    await recordEvaluation(opened().db, monitor, channels, minute, checked({ ...result('ok'), memory: { seen: [1] } }))
    expect(await readMemories(opened().db, 'memory')).toEqual(new Map([['clock clock', { seen: [1] }]]))
  })

  it('notifies of what joins a firing alert, once for each evaluation', async () => {
    const monitor = clockMonitor('joined')
    const joined = { ...result('breach'), joined: 'More columns of "payments" breach now: "country" moved.' }
    // it is part of what fires
    await recordEvaluation(opened().db, monitor, channels, minute, checked(joined))
    for (const [moment, found] of [
      [2, joined],
      [2, joined],
      [3, result('breach')],
      [4, joined],
    ] as const)
      await recordEvaluation(opened().db, monitor, channels, moment * minute, checked(found))
    const [alert] = await alertsOf('joined')
    expect(alert?.sent).toEqual(['firing', 'firing', 'firing'])
    const causes = async (): Promise<string[]> => {
      const messages = await opened().db.query<{ cause: string }>(
        `select message->>'cause' as cause from lockstep.alert_deliveries where alert = $1 order by id`,
        [alert?.id],
      )
      return messages.map(({ cause }) => cause)
    }
    expect(await causes()).toEqual(['The clock is wrong.', joined.joined, joined.joined])
    expect(alert?.result).not.toHaveProperty('joined')
    await silenceAlert(opened().db, alert?.id ?? 0, 60 * minute, by)
    await recordEvaluation(opened().db, monitor, channels, 5 * minute, checked(joined))
    await recordEvaluation(opened().db, monitor, channels, 6 * minute, checked(result('breach')))
    expect(await causes()).toHaveLength(3)
    await unsilenceAlert(opened().db, alert?.id ?? 0, by)
    for (const i of [7, 8]) await recordEvaluation(opened().db, monitor, channels, i * minute, checked(result('breach')))
    expect((await causes()).slice(3)).toEqual([joined.joined])
  })

  it('notifies only channels that take its severity and are declared', async () => {
    const monitor = clockMonitor('picky', { severity: 'ticket', notify: ['hook', 'gone'] })
    const [hook] = channels.values()
    if (hook === undefined) throw new Error('no channel')
    await recordEvaluation(opened().db, monitor, new Map([['hook', { ...hook, severities: ['page'] }]]), minute, checked(result('breach')))
    expect(await alertsOf('picky')).toMatchObject([{ state: 'firing', sent: [] }])
  })
})

describe('a silence', () => {
  it('holds a later alert back, which is sent when the silence ends', async () => {
    const monitor = clockMonitor('held')
    const evaluate = (i: number, state: 'ok' | 'breach') =>
      recordEvaluation(opened().db, monitor, channels, i * minute, checked(result(state)))
    await evaluate(1, 'breach')
    const [first] = await alertsOf('held')
    await silenceAlert(opened().db, first?.id ?? 0, 60 * minute, by)
    await evaluate(2, 'ok') // who was notified that it fires is notified that it no longer does
    await evaluate(3, 'breach')
    await evaluate(4, 'breach')
    expect(await alertsOf('held')).toMatchObject([
      { state: 'firing', notified: false, silencedUntil: expect.any(Date) as Date, sent: [] },
      { state: 'resolved', sent: ['firing', 'resolved'] },
    ])
    const [silenced] = await readAlerts(opened().db, { monitor: 'held' })
    const [{ now } = { now: 0 }] = await opened().db.query<{ now: number }>(
      `select (extract(epoch from clock_timestamp()) * 1e6)::float8 as now`,
      [],
    )
    await unsilenceAlert(opened().db, first?.id ?? 0, by)
    // as of a moment before, it would have gone on
    expect(await readAlerts(opened().db, { monitor: 'held', asOf: now })).toMatchObject([{ silencedUntil: silenced?.silencedUntil }, {}])
    await evaluate(5, 'breach')
    await evaluate(6, 'breach')
    expect(await alertsOf('held')).toMatchObject([{ notified: true, silencedUntil: null, sent: ['firing'] }, {}])
    await evaluate(7, 'ok')
    expect(await alertsOf('held')).toMatchObject([{ state: 'resolved', sent: ['firing', 'resolved'] }, {}])
  })

  it('that ends while the check is fine notifies nobody until it breaches again', async () => {
    const { db } = opened()
    const monitor = clockMonitor('over', { clearAfter: 2 })
    const evaluate = async (i: number, state: 'ok' | 'breach') => {
      await recordEvaluation(db, monitor, channels, i * minute, checked(result(state, 'clock', i)))
      return (await alertsOf('over'))[0]
    }
    const first = await evaluate(1, 'breach')
    await silenceAlert(db, first?.id ?? 0, 60 * minute, by)
    for (const i of [2, 3]) await evaluate(i, 'ok')
    expect(await evaluate(4, 'breach')).toMatchObject({ state: 'firing', notified: false, sent: [] })
    await db.query(`update lockstep.alert_silences set ends_at = clock_timestamp() where monitor = 'over'`)
    expect(await evaluate(5, 'ok')).toMatchObject({ state: 'firing', notified: false, sent: [] })
    const again = await evaluate(6, 'breach')
    expect(again).toMatchObject({ notified: true, sent: ['firing'] })
    const [message] = await db.query(`select message->>'value' as value from lockstep.alert_deliveries where alert = $1`, [again?.id])
    expect(message).toEqual({ value: '6' })
  })

  it('that runs out notifies once more of an alert that still fires', async () => {
    const { db } = opened()
    const monitor = clockMonitor('outlived')
    const evaluate = async (i: number, state: 'ok' | 'breach') => {
      await recordEvaluation(db, monitor, channels, i * minute, checked(result(state, 'clock', i)))
      await db.query(`update lockstep.alert_deliveries set state = 'sent' where message->>'monitor' = 'outlived'`)
      return (await alertsOf('outlived'))[0]?.sent
    }
    await evaluate(1, 'breach')
    const [alert] = await alertsOf('outlived')
    const silence = () => silenceAlert(db, alert?.id ?? 0, 60 * minute, by)
    await silence()
    expect(await evaluate(2, 'breach')).toEqual(['firing'])
    await db.query(`update lockstep.alert_silences set ends_at = clock_timestamp() where monitor = 'outlived'`)
    expect(await evaluate(3, 'breach')).toEqual(['firing', 'firing'])
    const [message] = await db.query(
      `select message->>'cause' as cause, message->>'value' as value from lockstep.alert_deliveries where alert = $1 order by id desc limit 1`,
      [alert?.id],
    )
    expect(message).toEqual({ cause: 'The silence has ended, and this still fires. The clock is wrong.', value: '3' })
    expect(await evaluate(4, 'breach')).toEqual(['firing', 'firing'])
    // a person who ends a silence knows
    await silence()
    await unsilenceAlert(db, alert?.id ?? 0, by)
    expect(await evaluate(5, 'breach')).toEqual(['firing', 'firing'])
    expect(await evaluate(6, 'ok')).toEqual(['firing', 'firing', 'resolved'])
  })

  it('that outlives an alert hides it completely, and is in the audit log', async () => {
    const monitor = clockMonitor('hidden')
    const evaluate = (i: number, state: 'ok' | 'breach') =>
      recordEvaluation(opened().db, monitor, channels, i * minute, checked(result(state)))
    await evaluate(1, 'breach')
    const [first] = await alertsOf('hidden')
    await silenceAlert(opened().db, first?.id ?? 0, 60 * minute, by)
    await evaluate(2, 'ok')
    await evaluate(3, 'breach')
    await evaluate(4, 'ok')
    expect(await alertsOf('hidden')).toMatchObject([{ state: 'resolved', sent: [] }, { sent: ['firing', 'resolved'] }])
    const audit = await opened().db.query(`select actor, action, reason from lockstep.audit_log where subject = 'hidden'`)
    expect(audit).toEqual([{ actor: 'ada@test', action: 'alert.silence', reason: 'a test' }])
  })

  it('of an alert that is not there, or of none, is refused', async () => {
    await expect(silenceAlert(opened().db, 999_999, minute, by)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await recordEvaluation(opened().db, clockMonitor('loud'), channels, minute, checked(result('breach')))
    const [alert] = await alertsOf('loud')
    await expect(unsilenceAlert(opened().db, alert?.id ?? 0, by)).rejects.toMatchObject({ code: 'INVALID_REQUEST' })
  })
})
