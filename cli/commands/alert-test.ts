import { randomUUID } from 'node:crypto'
import { LockstepError } from '../../kernel/errors.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { testMessage } from '../../monitoring/alerts/alert-message.ts'
import { installationKey } from '../../monitoring/alerts/open-alerts.ts'
import { sendNotification } from '../../monitoring/alerts/deliver/send-notification.ts'
import { readSecret } from '../../runtime/config.ts'
import type { Command } from '../command.ts'

export const alertTestCommand: Command = {
  name: 'alert test',
  summary: 'Send a test notification to a channel',
  description: [
    'This process sends the notification once, and prints the answer of the receiver. Workers need the same environment variables.',
    'At PagerDuty and Alertmanager the test is resolved at once.',
  ],
  arguments: [{ name: 'CHANNEL', help: 'The name of a declared channel.' }],
  example: 'lockstep alert test oncall',
  async run(context, input) {
    const { config, signal } = context
    const name = input.argument('CHANNEL')
    const { channels } = await context.catalog()
    const channel = channels.get(name)?.spec
    if (channel === undefined) {
      const known =
        channels.size === 0
          ? 'None is declared; see docs/alerts.md#channels.'
          : `There ${channels.size === 1 ? 'is' : 'are'} ${[...channels.keys()].join(', ')}.`
      throw new LockstepError('UNKNOWN_DEFINITION', `There is no channel "${name}". ${known}`, { details: { channel: name } })
    }
    const db = await context.database()
    const now = Date.now() * 1000
    const key = `${await installationKey(db.kysely)}:test:${randomUUID()}`
    const message = testMessage(key, formatTimestamp(now))
    const options = { allowPrivate: config.alertPrivateAddresses, publicUrl: config.ui.publicUrl, signal, readSecret, now }
    const refused = await sendNotification(channel, message, `${key}:test`, options)
    if (refused !== null)
      throw new LockstepError(
        'DELIVERY_FAILED',
        `The channel "${name}" accepted a test notification, but not for all addresses. ${refused}`,
      )
    if (channel.kind === 'pagerduty' || channel.kind === 'alertmanager') {
      const resolved = { ...message, event: 'resolved' as const, resolvedAt: message.startedAt }
      await sendNotification(channel, resolved, `${key}:resolved`, options)
    }
    return { json: { channel: name, key, sent: true }, text: `The channel "${name}" accepted a test notification.` }
  },
}
