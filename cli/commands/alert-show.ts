import { alertAnswer } from '../../serving/protocols/http/monitoring/alert-schemas.ts'
import { alertIdOf, alertText } from '../text/alert-text.ts'
import type { Command } from '../command.ts'
import { findAlert } from '../find-alert.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

export const alertShowCommand: Command = {
  name: 'alert show',
  summary: 'Show an alert: its cause, its evidence and its notifications',
  arguments: [{ name: 'ID', help: 'The id of the alert, as "alert list" shows it.' }],
  options: { server: serverOption },
  example: 'lockstep alert show 1',
  async run(context, input) {
    const id = alertIdOf(input)
    const server = serverOf(context, input)
    const alert = server === null ? await findAlert(context, id) : await server.ask('GET', `/v1/alerts/${id}`, undefined, alertAnswer)
    return { json: alert, text: alertText(alert) }
  },
}
