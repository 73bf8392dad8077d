import { afterEach, expect, it } from 'vitest'
import { forgetAlerts } from '../../../monitoring/alerts/forget-alerts.ts'
import { during, openServer } from '../../opened-database.ts'

const opened = during(() => openServer())
const db = () => opened().db

afterEach(() => db().script('truncate lockstep.alerts, lockstep.alert_deliveries, lockstep.alert_silences'))

/** @param days how long ago it was resolved; null: it fires */
async function addAlert(days: number | null, monitor = 'm'): Promise<string> {
  const ended = `(extract(epoch from now() - interval '${days ?? 0} days') * 1000000)::bigint`
  const [row] = await db().query<{ id: string }>(`
    insert into lockstep.alerts (monitor, check_kind, subject, severity, state, started, resolved, resolution, notified, about, started_with, result)
    values ('${monitor}', 'drift', 's', 'ticket', ${days === null ? `'firing', 0, null, null` : `'resolved', 0, ${ended}, 'cleared'`}, true, '{}', '{}', '{}')
    returning id`)
  return row?.id ?? ''
}

let keys = 0
/** @param days how long ago it was sent; null: it is open */
async function addDelivery(alert: string | null, days: number | null): Promise<void> {
  const ended = days === null ? `'open', null` : `'sent', now() - interval '${days} days'`
  await db().query(
    `insert into lockstep.alert_deliveries (alert, channel, key, message, state, ended_at) values (${alert ?? 'null'}, 'c', '${++keys}', '{}', ${ended})`,
  )
}

/** @param days how long ago it ended */
async function addSilence(monitor: string, days: number): Promise<void> {
  await db().query(
    `insert into lockstep.alert_silences (monitor, ends_at, reason, created_by) values ('${monitor}', now() - interval '${days} days', '', 'ann')`,
  )
}

const kept = async (table: string, column: string) =>
  (await db().query<{ kept: string }>(`select ${column}::text as kept from lockstep.${table} order by id`)).map((row) => row.kept)

it('alerts that were resolved before the retention are deleted with their deliveries', async () => {
  const [old, newer, firing] = [await addAlert(31), await addAlert(29), await addAlert(null)]
  for (const alert of [old, newer]) await addDelivery(alert, 31)
  await addDelivery(firing, 400)
  expect([await forgetAlerts(db(), 32), await forgetAlerts(db(), 30)]).toEqual([0, 1])
  expect([await kept('alerts', 'id'), await kept('alert_deliveries', 'alert')]).toEqual([
    [newer, firing],
    [newer, firing],
  ])
})

it('an alert with an open delivery is kept with the silences of its monitor', async () => {
  const waiting = await addAlert(31, 'waits')
  await addDelivery(waiting, null)
  for (const monitor of ['waits', 'other']) for (const days of [31, 29]) await addSilence(monitor, days)
  expect(await forgetAlerts(db(), 30)).toBe(0)
  expect([await kept('alerts', 'id'), await kept('alert_silences', 'monitor')]).toEqual([[waiting], ['waits', 'waits', 'other']])
})

it('test notifications are deleted, unless they are open or new', async () => {
  for (const days of [31, 29, null]) await addDelivery(null, days)
  await forgetAlerts(db(), 30)
  expect(await kept('alert_deliveries', 'state')).toEqual(['sent', 'open'])
})

it('more alerts than a transaction deletes are all deleted', async () => {
  await db().query(`
    insert into lockstep.alerts (monitor, check_kind, subject, severity, state, started, resolved, resolution, notified, about, started_with, result)
    select 'm', 'drift', 's', 'ticket', 'resolved', 0, i, 'cleared', true, '{}', '{}', '{}' from generate_series(1, 2500) i`)
  expect([await forgetAlerts(db(), 30), await kept('alerts', 'id')]).toEqual([2500, []])
})
