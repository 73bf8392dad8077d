import type { Dashboard } from './dashboard.ts'
import { rate, selected } from './dashboard.ts'

const firingMonitors = `max by (monitor, severity, subject) (${selected('lockstep_alert_firing')})`
const alerts = 'ALERTS{alertname=~"Lockstep.+"}'
const firing = 'ALERTS{alertname=~"Lockstep.+",alertstate="firing"}'

export const alertsAndMonitors: Dashboard = {
  name: 'alerts',
  title: 'Lockstep: alerts',
  description: 'Alerts of monitors, and of the rules in observability/prometheus/rules.yaml. The latter are of all jobs and instances.',
  variables: [],
  rows: [
    {
      title: 'Monitors',
      panels: [
        {
          shows: 'number',
          title: 'Firing alerts of monitors',
          description: 'Of the complete database. "lockstep alert list" has their evidence.',
          unit: 'short',
          limits: { warn: 1, bad: 1 },
          queries: [{ promql: `count(${firingMonitors}) or vector(0)`, legend: 'firing' }],
        },
        {
          shows: 'table',
          title: 'Alerts of monitors now',
          description: 'Monitors, what they are about, and how severe it is.',
          unit: 'none',
          width: 20,
          queries: [{ promql: firingMonitors, legend: '' }],
        },
        {
          title: 'Alerts of monitors over time',
          description: '1 while an alert fires.',
          unit: 'short',
          width: 8,
          stacked: true,
          queries: [{ promql: firingMonitors, legend: '{{monitor}} {{subject}} ({{severity}})' }],
        },
        {
          title: 'Checks of monitors',
          description: 'Evaluated checks a second, by result. "unknown": too little data, or no answer.',
          unit: 'ops',
          queries: [{ promql: rate('lockstep_monitor_evaluations_total', ['result']), legend: '{{result}}' }],
        },
        {
          title: 'Notifications',
          description: 'Attempts a second to deliver notifications, by channel and outcome.',
          unit: 'ops',
          queries: [{ promql: rate('lockstep_alert_deliveries_total', ['channel', 'outcome']), legend: '{{channel}} {{outcome}}' }],
        },
      ],
    },
    {
      title: 'Rules of Prometheus',
      panels: [
        ...(['page', 'ticket'] as const).map((severity) => ({
          shows: 'number' as const,
          title: `Firing: ${severity}`,
          description: severity === 'page' ? 'Users notice, or will within hours.' : 'Look at these during the day.',
          unit: 'short' as const,
          limits: { warn: 1, bad: 1 },
          queries: [
            { promql: `count(ALERTS{alertname=~"Lockstep.+",alertstate="firing",severity="${severity}"}) or vector(0)`, legend: severity },
          ],
        })),
        {
          shows: 'number',
          title: 'Pending',
          description: 'Alerts whose condition is true, but not for long enough yet.',
          unit: 'short',
          queries: [{ promql: 'count(ALERTS{alertname=~"Lockstep.+",alertstate="pending"}) or vector(0)', legend: 'pending' }],
        },
        {
          shows: 'table',
          title: 'Alerts now',
          description: 'Pending and firing alerts with their labels. docs/monitoring.md says what to do about each.',
          unit: 'none',
          width: 24,
          queries: [{ promql: alerts, legend: '' }],
        },
        {
          title: 'Firing alerts over time',
          description: 'How many of each fire.',
          unit: 'short',
          width: 12,
          stacked: true,
          queries: [{ promql: `count by (alertname, severity) (${firing})`, legend: '{{alertname}} ({{severity}})' }],
        },
        {
          title: 'Burn rate of the error budget',
          description:
            'How many times faster than allowed errors use up the budget. Alerts fire at 14.4 over 1 h and 5 min, and at 6 over 6 h and 30 min.',
          unit: 'none',
          width: 12,
          limits: { warn: 6, bad: 14.4 },
          queries: ['5m', '30m', '1h', '6h', '3d'].map((window) => ({
            promql: `lockstep:error_ratio:rate${window} / 0.001`,
            legend: window,
          })),
        },
      ],
    },
  ],
}
