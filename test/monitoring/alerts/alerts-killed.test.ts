import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { monitoringKinds } from '../../../monitoring/alerts/evaluate-monitors.ts'
import { readAlerts, readDeliveries } from '../../../monitoring/alerts/read-alerts.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import type { FaultPoint } from '../../../runtime/fault-point.ts'
import { workOnJobs } from '../../../runtime/jobs/work-on-jobs.ts'
import { programFile } from '../../cli/run-lockstep.ts'
import { bareEnvironment } from '../../bare-environment.ts'
import { during, openServer } from '../../opened-database.ts'
import type { Receiver } from './monitors.ts'
import { clockMonitor, hookAt, readSecret, startReceiver } from './monitors.ts'

const opened = during(openServer)
let receiver: Receiver
beforeAll(async () => {
  receiver = await startReceiver()
})
afterAll(() => receiver?.close())

beforeEach(async () => {
  await opened().db.query('delete from lockstep.alerts')
  await opened().db.query('delete from lockstep.monitors')
})

const eventsOf = (monitor: string) =>
  receiver.received
    .map(({ text }) => JSON.parse(text) as { monitor: string; key: string; event: string })
    .filter((each) => each.monitor === monitor)

/** How often the receiver may have got the notification: twice where the process died before it wrote that down. */
const points: readonly (readonly [FaultPoint, number])[] = [
  ['monitor: evaluated', 1],
  ['monitor: recorded', 1],
  ['alert: sent', 2],
  ['alert: written down', 1],
]

it.each(points)('an alert is delivered although its worker is killed at "%s"', async (point, times) => {
  const { db, url } = opened()
  const name = `killed_${point.replaceAll(/\W+/g, '_')}`
  const child = spawn(process.execPath, [programFile('test/monitoring/alerts/alerts-process'), url, receiver.url, name, point], {
    env: bareEnvironment,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  expect(await once(child, 'exit')).toEqual([null, 'SIGKILL'])
  // as if its lease had run out
  await db.query(`update lockstep.job_chunks set claimable_at = clock_timestamp() where state = 'open'`)
  const catalog = await loadCatalog(db)
  const kinds = monitoringKinds({
    db,
    store: async () => null,
    catalog: async () => catalog,
    active: () => ({ monitors: [clockMonitor(name)], channels: hookAt(receiver.url) }),
    readSecret,
    allowPrivate: true,
    publicUrl: null,
    // as wrong as that of the killed one
    clock: () => Date.now() * 1000 + 60_000_000,
    worker: 'next',
  })
  const stop = new AbortController()
  // the schedule of deliveries has an instant each minute: the next worker is a minute ahead
  const clock = () => Date.now() * 1000 + 60_000_000
  const working = workOnJobs(db, { kinds, worker: 'next', signal: stop.signal, idleMs: 200, clock })
  try {
    const sent = async () => {
      const [alert] = await readAlerts(db, { monitor: name })
      return alert === undefined ? [] : (await readDeliveries(db, alert.id)).map(({ state, event }) => `${event} ${state}`)
    }
    await expect.poll(sent, { timeout: 60_000, interval: 50 }).toEqual(['firing sent'])
  } finally {
    stop.abort()
    await working
  }
  expect(await readAlerts(db, { monitor: name })).toHaveLength(1)
  expect(eventsOf(name)).toHaveLength(times)
  expect(new Set(eventsOf(name).map(({ key }) => key)).size).toBe(1)
})
