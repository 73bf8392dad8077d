import { loadConfig } from '../../runtime/config.ts'
import { migrateDatabase } from '../../runtime/migrated.ts'
import { openPostgres } from '../../runtime/open-postgres.ts'
import { readAlerts } from '../../monitoring/alerts/read-alerts.ts'
import type { Fault } from '../../test/monitoring/faults/faults.ts'
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
}

const weekMinutes = 7 * 1440

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

  async function inShop(conditions: Fault['conditions'], work: (shop: Shop) => Promise<void>): Promise<void> {
    await inOwnPlace(postgresUrl, async ({ env }) => {
      const { postgresUrl: own, redisPrefix } = loadConfig(env)
      if (own === null) return
      const db = openPostgres(own)
      await migrateDatabase(db.kysely)
      await db.close()
      const given: ShopOptions = { postgresUrl: own, redis: { url: redisUrl, prefix: redisPrefix }, conditions: conditions ?? {} }
      const shop = await openShop(given)
      try {
        await work(shop)
      } finally {
        await shop.close()
        await forgetKeys(redisUrl, redisPrefix)
      }
    })
  }

  for (const fault of faults.filter(({ name }) => isAsked(name))) {
    await inShop(fault.conditions, async (shop) => {
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
    await inShop({ busyEvery: 5, evaluateEvery: 5, requests: 20, redisMs: 30 }, async (shop) => {
      await shop.pass(weekMinutes)
      const alerts = await readAlerts(shop.db)
      wrong += alerts.length
      say(`a healthy week: ${alerts.length} alerts`)
      for (const { monitor, check, subject, startedWith } of alerts) say(`    wrong: ${monitor} ${check} ${subject}: ${startedWith.cause}`)
    })
  }
  return {
    fault_alerts_missed: Object.values(seconds).filter((each) => each === null).length,
    fault_alerts_wrong: wrong,
    seconds_to_alert: seconds,
  }
}
