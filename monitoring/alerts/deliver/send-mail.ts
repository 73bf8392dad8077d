import { once } from 'node:events'
import { connect } from 'node:net'
import type { SMTPTransportOptions } from 'nodemailer'
import { LockstepError, messageOf } from '../../../kernel/errors.ts'
import { plainText } from '../../../kernel/values/plain-text.ts'
import type { SmtpServer } from '../../../registry/define/smtp-url.ts'
import { parseSmtpUrl } from '../../../registry/define/smtp-url.ts'
import type { Mail } from './mail.ts'
import type { SendOptions } from './send-request.ts'
import { checkAddress, notDelivered, publicLookup, unreachable } from './send-request.ts'

export interface OutgoingMail extends Mail {
  /** `smtps://USER:PASSWORD@HOST`: see `parseSmtpUrl`. */
  readonly url: string
  readonly from: string
  readonly to: readonly string[]
  /** The same for each attempt: mail servers and readers drop what they have. */
  readonly messageId: string
  /** The same for all mails of an alert: readers show them together. */
  readonly thread: string
  readonly isUrgent: boolean
}

/** How many characters of a server's answer an error shows. */
const maxAnswer = 200

/**
 * Sends a mail over SMTP, and waits until the server has taken it. The connection is encrypted, and the certificate
 * checked, unless the URL says `?tls=off`. The server's address is checked as in `exchange`.
 *
 * @returns the recipients that the server refused for good, each with its answer; others have the mail
 * @throws LockstepError `FORBIDDEN` for a private address; `DELIVERY_FAILED`, also if it refuses all recipients, or one
 *   for now: a repeated mail has the same `messageId`
 */
export async function sendMail(mail: OutgoingMail, { allowPrivate, timeoutMs, signal }: SendOptions): Promise<string[]> {
  const { url, from, to, subject, text, messageId, thread, isUrgent } = mail
  const server = parseSmtpUrl(url, (fault) => notDelivered(`the URL of its SMTP server is wrong: ${fault}`))
  const { host, port, tls, auth } = server
  if (!allowPrivate) checkAddress(host)
  const { createTransport } = await import('nodemailer')
  const ended = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
  const socket = connect({ host, port, ...(allowPrivate ? {} : { lookup: publicLookup }) })
  try {
    await once(socket, 'connect', { signal: ended }).catch((error: unknown) => {
      throw ended.aborted || error instanceof LockstepError ? error : unreachable(host, error)
    })
    const options: SMTPTransportOptions = {
      connection: socket,
      host,
      port,
      secure: tls === 'implicit',
      ...(tls === 'off' ? { ignoreTLS: true } : { requireTLS: true }),
      ...(auth === null ? {} : { auth }),
      socketCloseTimeout: 1000,
      disableFileAccess: true,
      disableUrlAccess: true,
    }
    const sent = await createTransport(options).sendMail({
      from,
      to: [...to],
      subject,
      text,
      messageId,
      inReplyTo: thread,
      references: thread,
      headers: { 'Auto-Submitted': 'auto-generated' },
      priority: isUrgent ? 'high' : 'normal',
      signal: ended,
    })
    const refused = sent.rejectedErrors ?? []
    const named = refused.map((error) => `"${error.recipient}" (${answerOf(error)})`)
    // such as by greylisting
    if (refused.some(({ responseCode = 0 }) => responseCode < 500))
      throw notDelivered(`"${host}" refused recipients for now: ${named.join(', ')}`)
    return named
  } catch (error) {
    socket.destroy()
    if (error instanceof LockstepError || signal.aborted) throw error
    if (ended.aborted) throw notDelivered(`"${host}" did not answer within ${timeoutMs / 1000} s`, error)
    throw smtpFailure(server, error)
  }
}

function smtpFailure({ host, tls }: SmtpServer, error: unknown): LockstepError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'no code'
  const answer = answerOf(error)
  if (code === 'EAUTH') return notDelivered(`"${host}" refused the user or the password: ${answer}`, error)
  if (code === 'ETLS') {
    const hint = tls === 'starttls' ? ', and with smtp:// it must offer STARTTLS' : ''
    return notDelivered(`the connection to "${host}" cannot be encrypted (its certificate must be valid${hint}): ${answer}`, error)
  }
  return notDelivered(`"${host}" did not take the mail (${code}): ${answer}`, error)
}

/** What the server answered, or the fault, in one line. */
function answerOf(error: unknown): string {
  const answer = error instanceof Error && 'response' in error && typeof error.response === 'string' ? error.response : messageOf(error)
  return plainText(answer.replaceAll(/\s+/g, ' ')).slice(0, maxAnswer)
}
