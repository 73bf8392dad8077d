import { LockstepError } from '../../../kernel/errors.ts'
import type { ChannelSpec, EnvironmentName } from '../../../registry/monitor-spec.ts'
import type { AlertMessage, SentMessage } from '../alert-message.ts'
import { withLink } from '../alert-message.ts'
import { formatRequest } from './formats.ts'
import { mailOf } from './mail.ts'
import type { OutgoingMail } from './send-mail.ts'
import { sendMail } from './send-mail.ts'
import type { SendOptions } from './send-request.ts'
import { sendRequest } from './send-request.ts'

/**
 * Reads a secret from the environment or its file; null: it is not set.
 *
 * @throws LockstepError `CONFIG_INVALID` where the file cannot be read
 */
export type ReadSecret = (name: string) => string | null

export interface NotificationOptions extends Omit<SendOptions, 'timeoutMs'> {
  readonly readSecret: ReadSecret
  /** Epoch microseconds. */
  readonly now: number
  /** Where browsers reach the dashboard; null: that is not known, and notifications have no link. */
  readonly publicUrl: URL | null
  /** Default: 10 s, and 60 s for mail servers, which may check a mail before they answer. */
  readonly timeoutMs?: number | undefined
}

const requestTimeoutMs = 10_000
const mailTimeoutMs = 60_000

/**
 * Sends a notification in the form of its channel. Each attempt has the same key.
 *
 * @returns which recipients did not take it while others did; null: all have it
 * @throws LockstepError `CONFIG_INVALID` where a secret is not set; `FORBIDDEN`, `DELIVERY_FAILED`
 */
export async function sendNotification(
  channel: ChannelSpec,
  message: AlertMessage,
  key: string,
  { readSecret, now, publicUrl, timeoutMs, ...options }: NotificationOptions,
): Promise<string | null> {
  const secret = (of: EnvironmentName): string => secretOf(channel, of, readSecret)
  const url = typeof channel.url === 'string' ? channel.url : secret(channel.url)
  const sent = withLink(message, publicUrl)
  if (channel.kind !== 'email') {
    await sendRequest(formatRequest(channel, url, sent, key, secret, now), { ...options, timeoutMs: timeoutMs ?? requestTimeoutMs })
    return null
  }
  const refused = await sendMail(outgoingMail(channel, url, sent, key), { ...options, timeoutMs: timeoutMs ?? mailTimeoutMs })
  return refused.length === 0 ? null : `Some recipients were refused: ${refused.join('; ')}`
}

function outgoingMail({ from, to }: Extract<ChannelSpec, { kind: 'email' }>, url: string, message: SentMessage, key: string): OutgoingMail {
  const domain = from.replace(/^.*@|>$/g, '')
  const id = (of: string): string => `<${of.replaceAll(':', '.')}@${domain}>`
  const isUrgent = message.event === 'firing' && message.severity === 'page'
  return { ...mailOf(message), url, from, to, messageId: id(key), thread: id(message.alertKey), isUrgent }
}

function secretOf({ name }: ChannelSpec, { env }: EnvironmentName, readSecret: ReadSecret): string {
  const value = readSecret(env)
  if (value !== null) return value
  throw new LockstepError(
    'CONFIG_INVALID',
    `The channel "${name}" needs the environment variable "${env}", which this process does not have. Set it for the workers, or "${env}_FILE" to a file that holds it.`,
    { details: { channel: name, variable: env } },
  )
}
