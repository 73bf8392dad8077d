import { z } from 'zod'

const number = z.number().nullable()

/** A notification of an alert: facts, which each channel writes in its own form. It is stored until it is sent. */
export const alertMessage = z.object({
  event: z.enum(['firing', 'resolved', 'test']),
  /** The same for each event of an alert, and no other alert of any installation has it. */
  alertKey: z.string(),
  /** null: a test. */
  alert: z.int().nullable(),
  monitor: z.string(),
  check: z.string(),
  subject: z.string(),
  severity: z.enum(['page', 'ticket']),
  /** One line for people. */
  summary: z.string(),
  cause: z.string().nullable(),
  value: number,
  threshold: number,
  n: number,
  evidence: z.unknown(),
  description: z.string().nullable(),
  runbook: z.string().nullable(),
  /** RFC 3339. */
  startedAt: z.string(),
  resolvedAt: z.string().nullable(),
  /** How it was resolved; null: it was not. */
  resolution: z.enum(['cleared', 'removed']).nullable(),
})
export type AlertMessage = z.output<typeof alertMessage>

/** A notification as it is sent. */
export interface SentMessage extends AlertMessage {
  /** The page of the alert in the dashboard; absent: nobody said where browsers reach it. */
  readonly link?: string
}

/** @param publicUrl where browsers reach the dashboard; null: that is not known */
export function withLink(message: AlertMessage, publicUrl: URL | null): SentMessage {
  if (publicUrl === null || message.alert === null) return message
  return { ...message, link: new URL(`/ui/alerts?alert=${message.alert}`, publicUrl).href }
}

export function summaryOf({
  monitor,
  check,
  subject,
  cause,
  event,
  resolution,
}: Pick<AlertMessage, 'monitor' | 'check' | 'subject' | 'cause' | 'event'> & Partial<Pick<AlertMessage, 'resolution'>>): string {
  const what = `${monitor}: ${check} of ${subject}`
  if (event === 'resolved') return resolution === 'removed' ? `No longer watched: ${what}` : `Resolved: ${what}`
  return cause === null ? what : `${what}: ${cause}`
}

/** @param startedAt RFC 3339 */
export function testMessage(alertKey: string, startedAt: string): AlertMessage {
  const none = { alert: null, value: null, threshold: null, n: null, evidence: null, runbook: null, resolvedAt: null, resolution: null }
  const summary = 'This is a test of "lockstep alert test". There is nothing to do.'
  const named = { monitor: 'test', check: 'test', subject: 'test', cause: null, description: null }
  return { ...none, ...named, event: 'test', alertKey, severity: 'ticket', summary, startedAt }
}
