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
              ['alert', 'state', 'severity', 'check', 'subject', 'from', 'to', 'likely cause'],
              alerts.map(({ id, state, severity, check, subject, startedAt, resolvedAt, cause }): Cell[] => [
                String(id),
                { text: state, tone: state === 'firing' ? 'bad' : 'muted' },
                severity,
                check,
                subject,
                startedAt,
                resolvedAt ?? '',
                cause ?? '',
              ]),
            ),
          ],
  }
}
