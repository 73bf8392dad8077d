import { maxSilence, silenceAlert, silenceMicros } from '../../monitoring/alerts/silences.ts'
import { alertAnswer } from '../../serving/protocols/http/monitoring/alert-schemas.ts'
import { actorOf, reasonOption } from '../actor.ts'
import { alertIdOf } from '../text/alert-text.ts'
import type { Command } from '../command.ts'
import { findAlert } from '../find-alert.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

const defaultFor = '2h'

export const alertSilenceCommand: Command = {
  name: 'alert silence',
  summary: 'Send no notifications of an alert for a while',
  description: [
    'Later alerts of the same monitor, check and subject are silenced, too. An alert that still fires when the silence ends notifies the channels that were not notified before.',
  ],
  arguments: [{ name: 'ID', help: 'The id of the alert, as "alert list" shows it.' }],
  options: {
    for: { value: 'DURATION', help: `How long, such as 30m or 1d; at most ${maxSilence}. Default: ${defaultFor}.` },
    reason: reasonOption,
    server: serverOption,
  },
  example: 'lockstep alert silence 1 --for 4h --reason "being fixed"',
  async run(context, input) {
    const id = alertIdOf(input)
    const length = input.text('for') ?? defaultFor
    const micros = silenceMicros(length)
    const server = serverOf(context, input)
    if (server === null) await silenceAlert(await context.database(), id, micros, actorOf(input))
    const reason = input.text('reason')
    const body = { for: length, ...(reason === undefined ? {} : { reason }) }
    const alert = server === null ? await findAlert(context, id) : await server.ask('POST', `/v1/alerts/${id}/silence`, body, alertAnswer)
    return { json: alert, text: `The alert ${id} is silenced until ${alert.silencedUntil}.` }
  },
}
