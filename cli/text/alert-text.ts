import { LockstepError } from '../../kernel/errors.ts'
import type { AlertAnswer } from '../../serving/protocols/http/monitoring/alert-schemas.ts'
import { evidenceLines, short } from '../../monitoring/alerts/evidence-text.ts'
import type { Input } from '../input.ts'
import { count } from './human.ts'
import { table } from './table.ts'
import { plainText } from '../../kernel/values/plain-text.ts'

type AlertRow = Omit<AlertAnswer, 'deliveries'>

/** @throws LockstepError `USAGE` where it is not a number */
export function alertIdOf(input: Input): number {
  const text = input.argument('ID')
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text)
  throw new LockstepError('USAGE', `The id "${text}" is not a number; "lockstep alert list" shows the ids of alerts.`)
}

export function alertTable(alerts: readonly AlertRow[], width: number | null): string {
  return table(
    ['ID', 'STATE', 'SEVERITY', 'MONITOR', 'CHECK', 'SUBJECT', 'SINCE (UTC)', 'CAUSE'],
    alerts.map((alert) => [
      String(alert.id),
      stateOf(alert),
      alert.severity,
      alert.monitor,
      alert.check,
      alert.subject,
      alert.startedAt.slice(0, 19).replace('T', ' '),
      alert.cause ?? '',
    ]),
    '',
    width,
  )
}

export function alertText({ deliveries, latest, ...alert }: AlertAnswer): string {
  const { value, threshold, n } = alert
  const facts = [
    value === null ? null : `value ${short(value)}`,
    threshold === null ? null : `threshold ${short(threshold)}`,
    n === null ? null : `n ${count(n)}`,
  ]
  const evidence = evidenceLines(alert.evidence)
  const sent = deliveries.map((each) => [each.channel, each.event, each.state, String(each.attempts), each.error ?? ''])
  return [
    `Alert ${alert.id}, ${alert.severity}: ${alert.check} of ${plainText(alert.subject)}, by the monitor ${alert.monitor}.`,
    `State: ${stateOf(alert)}. Since ${alert.startedAt}${alert.resolvedAt === null ? '' : `, resolved at ${alert.resolvedAt}`}.`,
    ...(alert.silencedUntil === null ? [] : [`Silenced until ${alert.silencedUntil}.`]),
    ...(alert.cause === null ? [] : [`Cause: ${plainText(alert.cause)}`]),
    ...(latest.cause === null || latest.cause === alert.cause ? [] : [`Newest result: ${plainText(latest.cause)}`]),
    ...(facts.every((each) => each === null) ? [] : [`Newest figures: ${facts.filter((each) => each !== null).join(', ')}.`]),
    ...(alert.description === null ? [] : [plainText(alert.description)]),
    ...(alert.runbook === null ? [] : [`Runbook: ${plainText(alert.runbook)}`]),
    ...(evidence.length === 0 ? [] : ['Evidence, as it fired:', ...evidence]),
    ...(sent.length === 0 ? ['No channel was notified.'] : ['', table(['CHANNEL', 'EVENT', 'STATE', 'ATTEMPTS', 'LAST ERROR'], sent)]),
  ].join('\n')
}

function stateOf({ state, silencedUntil, resolution }: Pick<AlertRow, 'state' | 'silencedUntil' | 'resolution'>): string {
  if (state === 'firing') return silencedUntil === null ? 'firing' : 'firing, silenced'
  return resolution === 'removed' ? 'resolved (removed)' : 'resolved'
}
