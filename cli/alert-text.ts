import { LockstepError } from '../kernel/errors.ts'
import { isRecord } from '../kernel/is-record.ts'
import type { AlertAnswer } from '../serving/protocols/http/monitoring/alert-schemas.ts'
import type { Input } from './input.ts'
import { count } from './human.ts'
import { table } from './table.ts'
import { plainText } from './plain-text.ts'

/** Of a list in the evidence, so many are shown. */
const maxItems = 10

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
    ...evidenceLines(alert.evidence),
    ...(sent.length === 0 ? ['No channel was notified.'] : ['', table(['CHANNEL', 'EVENT', 'STATE', 'ATTEMPTS', 'LAST ERROR'], sent)]),
  ].join('\n')
}

function stateOf({ state, silencedUntil, resolution }: Pick<AlertRow, 'state' | 'silencedUntil' | 'resolution'>): string {
  if (state === 'firing') return silencedUntil === null ? 'firing' : 'firing, silenced'
  return resolution === 'removed' ? 'resolved (removed)' : 'resolved'
}

function evidenceLines(evidence: unknown): string[] {
  const lines = isRecord(evidence) ? membersOf(evidence, '  ') : factLines('fact', evidence, '  ')
  return lines.length === 0 ? [] : ['Evidence, as it fired:', ...lines]
}

function membersOf(record: Readonly<Record<string, unknown>>, indent: string): string[] {
  return Object.entries(record).flatMap(([name, value]) => factLines(name, value, indent))
}

/** A line for a fact, or for each of its parts that have parts themselves. What is null or empty has none. */
function factLines(name: string, value: unknown, indent: string): string[] {
  if (isEmpty(value)) return []
  const flat = flatText(value)
  if (flat !== null) return [`${indent}${plainText(`${name}: ${flat}`)}`]
  const inner = `${indent}  `
  if (!Array.isArray(value)) return [`${indent}${plainText(name)}:`, ...membersOf(value as Record<string, unknown>, inner)]
  const items = value.slice(0, maxItems).flatMap((item, i) => {
    const text = flatText(item)
    return text === null ? factLines(String(i + 1), item, inner) : [`${inner}${plainText(text)}`]
  })
  const left = value.length - maxItems
  return [`${indent}${plainText(name)}:`, ...items, ...(left > 0 ? [`${inner}and ${count(left)} more, which "--json" shows`] : [])]
}

/** The text of a value whose parts have no parts; null: it needs lines of its own. */
function flatText(value: unknown): string | null {
  if (Array.isArray(value)) return value.length <= maxItems && value.every(isScalar) ? value.map(scalarText).join(', ') : null
  if (!isRecord(value)) return scalarText(value)
  const parts = Object.entries(value).filter(([, part]) => !isEmpty(part))
  return parts.every(([, part]) => isScalar(part)) ? parts.map(([name, part]) => `${name} ${scalarText(part)}`).join(', ') : null
}

function isScalar(value: unknown): boolean {
  return typeof value !== 'object' || value === null
}

function isEmpty(value: unknown): boolean {
  return value === null || value === undefined || (typeof value === 'object' && Object.values(value).every(isEmpty))
}

function scalarText(value: unknown): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  return typeof value === 'number' ? String(short(value)) : String(value)
}

function short(value: number): number {
  return Number.isInteger(value) ? value : Number(value.toPrecision(4))
}
