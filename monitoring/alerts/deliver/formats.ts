import { createHmac } from 'node:crypto'
import { dayMicros, formatTimestamp, parseTimestamp } from '../../../kernel/values/time.ts'
import type { ChannelSpec, EnvironmentName } from '../../../registry/monitor-spec.ts'
import type { SentMessage } from '../alert-message.ts'
import type { OutgoingRequest } from './send-request.ts'

const json = { 'content-type': 'application/json', 'user-agent': 'lockstep' }
const yearMicros = 365 * dayMicros

/**
 * A notification as the request of its channel. Each attempt has the same idempotency key.
 *
 * @param now epoch microseconds
 */
export function formatRequest(
  channel: Exclude<ChannelSpec, { kind: 'email' }>,
  url: string,
  message: SentMessage,
  key: string,
  secret: (of: EnvironmentName) => string,
  now: number,
): OutgoingRequest {
  switch (channel.kind) {
    case 'webhook':
      return { url, ...signedJson({ key, ...message }, key, secret(channel.secret), now) }
    case 'slack':
      return { url, headers: json, body: JSON.stringify(slackBody(message)) }
    case 'pagerduty':
      return { url, headers: json, body: JSON.stringify(pagerDutyBody(message, secret(channel.routingKey))) }
    case 'alertmanager':
      return { url: `${url.replace(/\/+$/, '')}/api/v2/alerts`, headers: json, body: JSON.stringify([alertmanagerAlert(message)]) }
    default:
      return channel satisfies never
  }
}

/** Signed: the receiver computes the HMAC-SHA-256 of `timestamp.body` and compares. */
export function signedJson(message: object, key: string, secret: string, now: number): Omit<OutgoingRequest, 'url'> {
  const body = JSON.stringify(message)
  const timestamp = String(Math.floor(now / 1e6))
  const signature = createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')
  return {
    headers: { ...json, 'idempotency-key': key, 'lockstep-timestamp': timestamp, 'lockstep-signature': `v1=${signature}` },
    body,
  }
}

function slackBody({ event, summary, severity, cause, description, runbook, startedAt, resolvedAt, link }: SentMessage): object {
  const title = event === 'resolved' ? 'Resolved' : event === 'test' ? 'Test' : severity === 'page' ? 'Page' : 'Ticket'
  const facts = [cause, description].flatMap((each) => (each === null ? [] : [escaped(each)]))
  const links = [...(runbook === null ? [] : [`<${runbook}|Runbook>`]), ...(link === undefined ? [] : [`<${link}|Dashboard>`])]
  const text = [`*${title}* ${escaped(summary)}`, ...facts, ...links].join('\n')
  const times = resolvedAt === null ? `Since ${startedAt}` : `From ${startedAt} to ${resolvedAt}`
  return {
    text: escaped(summary),
    blocks: [
      { type: 'section', text: { type: 'mrkdwn', text: text.slice(0, 3000) } },
      { type: 'context', elements: [{ type: 'mrkdwn', text: times }] },
    ],
  }
}

/** As Slack asks for text that is not markup. */
function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

/** Events API v2: https://developer.pagerduty.com/docs/events-api-v2-overview */
function pagerDutyBody(message: SentMessage, routingKey: string): object {
  const { event, alertKey, summary, severity, monitor, check, subject, startedAt, runbook, link } = message
  const base = { routing_key: routingKey, dedup_key: alertKey, event_action: event === 'resolved' ? 'resolve' : 'trigger' }
  if (event === 'resolved') return base
  return {
    ...base,
    payload: {
      summary: summary.slice(0, 1024),
      source: subject,
      severity: severity === 'page' ? 'critical' : 'warning',
      timestamp: startedAt,
      component: monitor,
      class: check,
      custom_details: detailsOf(message),
    },
    client: 'Lockstep',
    ...(link === undefined ? {} : { client_url: link }),
    ...(runbook === null ? {} : { links: [{ href: runbook, text: 'Runbook' }] }),
  }
}

/**
 * Alertmanager v2, `POST /api/v2/alerts`. An alert without an end would be taken for resolved after
 * `resolve_timeout`: one that fires ends in a year, and its resolution sends the true end.
 */
function alertmanagerAlert({
  alertKey,
  monitor,
  check,
  subject,
  severity,
  summary,
  cause,
  description,
  runbook,
  startedAt,
  resolvedAt,
  link,
}: SentMessage): object {
  const annotations = { summary, cause, description, runbook_url: runbook }
  return {
    labels: { alertname: `Lockstep_${check}`, monitor, check, subject, severity, alert: alertKey },
    annotations: Object.fromEntries(Object.entries(annotations).filter(([, text]) => text !== null)),
    startsAt: startedAt,
    endsAt: resolvedAt ?? formatTimestamp(parseTimestamp(startedAt) + yearMicros),
    ...(link === undefined ? {} : { generatorURL: link }),
  }
}

function detailsOf({ cause, value, threshold, n, evidence, description }: SentMessage): object {
  return { cause, value, threshold, n, evidence, description }
}
