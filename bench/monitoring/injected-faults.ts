import { loadConfig } from '../../runtime/config.ts'
import { migrateDatabase } from '../../runtime/postgres/migrated.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { readAlerts } from '../../monitoring/alerts/read-alerts.ts'
import { faults, inject } from '../../test/monitoring/faults/faults.ts'
import type { Shop, ShopOptions } from '../../test/monitoring/faults/virtual-shop.ts'
import { openShop } from '../../test/monitoring/faults/virtual-shop.ts'
import { forgetKeys } from '../forget-keys.ts'
import { inOwnPlace } from '../in-process.ts'

export interface InjectedFaults {
  readonly fault_alerts_missed: number
  readonly fault_alerts_wrong: number
  /** Virtual seconds from each fault to its alert; null: it was missed. */
  readonly seconds_to_alert: Readonly<Record<string, number | null>>
  /** Virtual hours of healthy traffic, and the seconds that they took; null: it was not asked for. */
  readonly healthy_hours: number | null
  readonly healthy_seconds: number | null
}

const week = { days: 7, busy: { busyEvery: 5, evaluateEvery: 5, requests: 45, atOnce: 15, payments: 4 } }

/**
 * Injects each fault into a healthy shop of its own, and lets a healthy week pass in another.
 *
 * @param only parts of the names of those to run; empty: all
 */
export async function injectedFaults(
  postgresUrl: string,
  redisUrl: string,
  only: readonly string[],
  say: (line: string) => void,
): Promise<InjectedFaults> {
  const seconds: Record<string, number | null> = {}
  let wrong = 0
  const isAsked = (name: string) => only.length === 0 || only.some((part) => name.includes(part))

  let healthySeconds: number | null = null

  async function inShop(options: Partial<ShopOptions>, work: (shop: Shop) => Promise<void>): Promise<void> {
    await inOwnPlace(postgresUrl, async ({ env }) => {
      const { postgresUrl: own, redisPrefix } = loadConfig(env)
      if (own === null) return
      const db = openPostgres(own)
      await migrateDatabase(db.kysely)
      await db.close()
      const shop = await openShop({ ...options, postgresUrl: own, redis: { url: redisUrl, prefix: redisPrefix } })
      try {
        await work(shop)
      } finally {
        await shop.close()
        await forgetKeys(redisUrl, redisPrefix)
      }
    })
  }

  for (const fault of faults.filter(({ name }) => isAsked(name))) {
    await inShop(fault.conditions === undefined ? {} : { conditions: fault.conditions }, async (shop) => {
      const began = performance.now()
      const noticed = await inject(shop, fault)
      seconds[fault.name] = noticed.seconds
      wrong += noticed.wrong.length
      const when = noticed.seconds === null ? 'MISSED' : `${noticed.seconds / 60} min`
      say(
        `${fault.name.padEnd(34)}${when.padStart(8)} of ${String(fault.within).padStart(3)}   ${((performance.now() - began) / 1000).toFixed(0)} s   ${noticed.cause}`,
      )
      if (noticed.seconds === null) for (const result of noticed.newest) say(`    newest: ${result}`)
      for (const { monitor, check, subject, startedWith } of noticed.wrong)
        say(`    wrong: ${monitor} ${check} ${subject}: ${startedWith.cause}`)
    })
  }
  if (isAsked('a healthy week')) {
    await inShop({ lifelike: true, conditions: week.busy }, async (shop) => {
      const began = performance.now()
      // what the check of traffic compares with
      await shop.hadWeeks(4, week.busy.requests * 12)
      let found = 0
      const known = new Map<string, Map<string, number>>()
      for (let day = 1; day <= week.days; day++) {
        for (let hour = 0; hour < 24; hour++) {
          await shop.pass(60)
          await countFindings(shop, known)
        }
        const alerts = await readAlerts(shop.db)
        say(`healthy day ${day}: ${((performance.now() - began) / 1000).toFixed(0)} s`)
        for (const { monitor, check, subject, startedWith } of alerts.slice(0, alerts.length - found))
          say(`    wrong: ${monitor} ${check} ${subject}: ${startedWith.cause}`)
        found = alerts.length
      }
      wrong += found
      healthySeconds = Math.round((performance.now() - began) / 1000)
      for (const [check, findings] of [...known].toSorted(([a], [b]) => (a < b ? -1 : 1)))
        say(`    ${check}: ${[...findings].map(([finding, n]) => `${finding} ${n}`).join(', ')}`)
    })
  }
  return {
    fault_alerts_missed: Object.values(seconds).filter((each) => each === null).length,
    fault_alerts_wrong: wrong,
    seconds_to_alert: seconds,
    healthy_hours: healthySeconds === null ? null : week.days * 24,
    healthy_seconds: healthySeconds,
  }
}

/** Adds the newest result of each check: that no alert fired says little about a check that knows nothing. */
async function countFindings({ db }: Shop, known: Map<string, Map<string, number>>): Promise<void> {
  const rows = await db.query<{ check: string; finding: string }>(
    `SELECT monitor || ' ' || check_kind AS check, state->>'finding' AS finding FROM lockstep.monitor_states`,
  )
  for (const { check, finding } of rows) {
    const findings = known.get(check) ?? new Map<string, number>()
    known.set(check, findings.set(finding, (findings.get(finding) ?? 0) + 1))
  }
}
