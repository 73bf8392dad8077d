import type { Registry } from 'prom-client'
import { Counter, Gauge } from 'prom-client'
import type { Database } from '../../runtime/postgres/database.ts'
import type { MonitorFinding } from './alert-state.ts'

/** The metrics of a process that evaluates monitors. */
export interface AlertMetrics {
  evaluated(findings: Readonly<Record<MonitorFinding, number>>): void
  delivered(channel: string, outcome: 'sent' | 'failed' | 'dropped'): void
}

const findingNames = ['ok', 'breach', 'unknown'] as const

/** @param database for the alerts that fire, which each scrape reads; none while it does not answer */
export function createAlertMetrics(registry: Registry, database: () => Promise<Pick<Database, 'kysely'>>): AlertMetrics {
  const registers = [registry]
  const evaluations = new Counter({
    name: 'lockstep_monitor_evaluations_total',
    help: 'Results of checks that this process has evaluated: ok, breach, or unknown.',
    labelNames: ['result'],
    registers,
  })
  const deliveries = new Counter({
    name: 'lockstep_alert_deliveries_total',
    help: 'Attempts to deliver notifications of alerts, by channel and outcome: sent, failed, dropped.',
    labelNames: ['channel', 'outcome'],
    registers,
  })
  registry.registerMetric(
    new Gauge({
      name: 'lockstep_alert_firing',
      help: '1 for each alert that fires. Every worker reports all of them.',
      labelNames: ['monitor', 'severity', 'subject'],
      registers: [],
      async collect() {
        const firing = await database()
          .then(readFiring)
          .catch(() => [])
        this.reset()
        for (const labels of firing) this.set(labels, 1)
      },
    }),
  )
  for (const result of findingNames) evaluations.inc({ result }, 0)
  return {
    evaluated(findings) {
      for (const result of findingNames) evaluations.inc({ result }, findings[result])
    },
    delivered: (channel, outcome) => deliveries.inc({ channel, outcome }),
  }
}

async function readFiring({ kysely }: Pick<Database, 'kysely'>) {
  return await kysely
    .selectFrom('lockstep.alerts')
    .select(['monitor', 'severity', 'subject'])
    .where('state', '=', 'firing')
    .distinct()
    .execute()
}
