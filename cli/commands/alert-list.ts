import { alertJson, maxListedAlerts, readAlerts } from '../../monitoring/alerts/read-alerts.ts'
import { alertsAnswer } from '../../serving/protocols/http/monitoring/alert-schemas.ts'
import { alertTable } from '../text/alert-text.ts'
import type { Command } from '../command.ts'
import { queryOf } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

const states = ['firing', 'resolved', 'all'] as const
const severities = ['page', 'ticket'] as const

export const alertListCommand: Command = {
  name: 'alert list',
  summary: 'List the alerts of monitors',
  options: {
    state: { value: 'STATE', choices: states, help: '"firing" (the default), "resolved" or "all".' },
    monitor: { value: 'NAME', help: 'Only alerts of this monitor.' },
    severity: { value: 'SEVERITY', choices: severities, help: 'Only "page" or only "ticket".' },
    limit: { value: 'N', help: 'The maximum number, newest first. Default: 100.' },
    server: serverOption,
  },
  example: 'lockstep alert list --state all',
  async run(context, input) {
    const state = input.choice('state', states) ?? 'firing'
    const filter = {
      state: state === 'all' ? undefined : state,
      monitor: input.text('monitor'),
      severity: input.choice('severity', severities),
      limit: input.count('limit', 1, maxListedAlerts),
    }
    const server = serverOf(context, input)
    const alerts =
      server === null
        ? (await readAlerts(await context.database(), filter)).map(alertJson)
        : (await server.ask('GET', `/v1/alerts${queryOf(filter)}`, undefined, alertsAnswer)).alerts
    const none = state === 'firing' ? 'No alert is firing.' : 'There are no such alerts.'
    return { json: { alerts }, text: alerts.length === 0 ? none : alertTable(alerts, context.terminal.width) }
  },
}
