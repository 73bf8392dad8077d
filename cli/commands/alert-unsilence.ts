import { unsilenceAlert } from '../../monitoring/alerts/silences.ts'
import { alertAnswer } from '../../serving/protocols/http/monitoring/alert-schemas.ts'
import { actorOf, reasonOption } from '../actor.ts'
import { alertIdOf } from '../text/alert-text.ts'
import type { Command } from '../command.ts'
import { findAlert } from '../find-alert.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

export const alertUnsilenceCommand: Command = {
  name: 'alert unsilence',
  summary: 'End the silence of an alert',
  description: ['After the next evaluation, an alert that still fires notifies the channels that were not notified before.'],
  arguments: [{ name: 'ID', help: 'The id of the alert, as "alert list" shows it.' }],
  options: { reason: reasonOption, server: serverOption },
  example: 'lockstep alert unsilence 1',
  async run(context, input) {
    const id = alertIdOf(input)
    const server = serverOf(context, input)
    if (server === null) await unsilenceAlert(await context.database(), id, actorOf(input))
    const reason = input.text('reason')
    const body = reason === undefined ? {} : { reason }
    const alert = server === null ? await findAlert(context, id) : await server.ask('POST', `/v1/alerts/${id}/unsilence`, body, alertAnswer)
    return { json: alert, text: `The alert ${id} is no longer silenced.` }
  },
}
