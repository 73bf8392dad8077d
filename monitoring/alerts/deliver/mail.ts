import { isRecord } from '../../../kernel/is-record.ts'
import { measuredText } from '../../../kernel/values/duration.ts'
import { plainText } from '../../../kernel/values/plain-text.ts'
import { parseTimestamp } from '../../../kernel/values/time.ts'
import type { SentMessage } from '../alert-message.ts'
import { evidenceLines, short } from '../evidence-text.ts'

export interface Mail {
  readonly subject: string
  readonly text: string
}

/** A notification as a mail: what happened first, then what there is to know, then what to do. */
export function mailOf(message: SentMessage): Mail {
  const sections = sectionsOf(message).filter((lines) => lines.length > 0)
  return { subject: plainText(subjectOf(message)), text: `${sections.map((lines) => lines.join('\n')).join('\n\n')}\n` }
}

function subjectOf({ event, summary, severity, monitor, check, subject }: SentMessage): string {
  if (event === 'resolved') return summary
  if (event === 'test') return 'Test of Lockstep alerts'
  return `${severity === 'page' ? 'Page' : 'Ticket'}: ${monitor}: ${check} of ${subject}`
}

function sectionsOf(message: SentMessage): (readonly string[])[] {
  const { event, alert, summary, cause, description, evidence } = message
  if (event === 'test') return [[summary]]
  const facts = factLines(message)
  if (event === 'resolved') {
    const why = cause === null ? [] : [`It had fired because:`, plainText(cause)]
    return [[endOf(message)], why, facts]
  }
  const shown = evidenceLines(breaching(evidence))
  return [
    [plainText(cause ?? summary)],
    facts,
    description === null ? [] : [plainText(description)],
    [
      'To see what is known now, and to silence it while you work on it:',
      `  lockstep alert show ${alert}`,
      `  lockstep alert silence ${alert} --for 4h --reason "being fixed"`,
    ],
    // last: it may be long
    shown.length === 0 ? [] : ['Evidence:', ...shown],
  ]
}

/** Of a check of columns, those that breach. "alert show" has all of them. */
function breaching(evidence: unknown): unknown {
  if (!isRecord(evidence) || !Array.isArray(evidence['columns'])) return evidence
  const columns = evidence['columns'].filter((column) => isRecord(column) && column['state'] === 'breach')
  return columns.length === 0 ? evidence : { ...evidence, columns }
}

function endOf({ resolution, startedAt, resolvedAt }: SentMessage): string {
  if (resolution === 'removed')
    return 'Nothing watches this any more: the monitor or its check was removed, or what it watches was removed or no longer answers. The fault may still be there.'
  const seconds = resolvedAt === null ? 0 : Math.round((parseTimestamp(resolvedAt) - parseTimestamp(startedAt)) / 1e6)
  return `The check is fine again, after ${measuredText(seconds)}.`
}

function factLines(message: SentMessage): string[] {
  const { event, severity, monitor, check, subject, value, threshold, n, runbook, startedAt, resolvedAt, link } = message
  const figures = [
    value === null ? null : `${short(value)}`,
    threshold === null ? null : `threshold ${short(threshold)}`,
    n === null ? null : `n ${n}`,
  ]
  const facts: readonly (readonly [string, string | null])[] = [
    ['Fired', utc(startedAt)],
    ['Resolved', resolvedAt === null ? null : utc(resolvedAt)],
    ['Severity', severity],
    ['Monitor', monitor],
    ['Check', `${check} of ${subject}`],
    ['Value', value === null || event === 'resolved' ? null : figures.filter((each) => each !== null).join(', ')],
    ['Runbook', event === 'resolved' ? null : runbook],
    ['Link', link ?? null],
  ]
  return facts.flatMap(([name, text]) => (text === null ? [] : [`${`${name}:`.padEnd(10)}${plainText(text)}`]))
}

/** `2026-03-01 12:00:00 UTC` */
function utc(time: string): string {
  return `${time.slice(0, 19).replace('T', ' ')} UTC`
}
