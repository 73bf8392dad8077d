import type { ModelReport } from './model-report.ts'
import { type Cell, type Section, table } from './page.ts'

export function alertsSection(alerts: ModelReport['alerts']): Section {
  return {
    id: 'alerts',
    title: 'Alerts',
    note: alerts.length === 0 ? 'No alert of the model or its views fired.' : 'Alerts of the model and its views that fired in this time.',
    body:
      alerts.length === 0
        ? []
        : [
            table(
              ['alert', 'state', 'severity', 'check', 'subject', 'from (UTC)', 'to (UTC)', 'likely cause'],
              alerts.map(({ id, state, severity, check, subject, startedAt, resolvedAt, cause }): Cell[] => [
                String(id),
                { text: state, tone: state === 'firing' ? 'bad' : 'muted' },
                severity,
                check,
                subject,
                minute(startedAt),
                resolvedAt === null ? '' : minute(resolvedAt),
                cause ?? '',
              ]),
            ),
          ],
  }
}

/** `2026-03-01 12:00` */
function minute(time: string): string {
  return time.slice(0, 16).replace('T', ' ')
}
