import { createHmac } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { SentMessage } from '../../../monitoring/alerts/alert-message.ts'
import { testMessage, withLink } from '../../../monitoring/alerts/alert-message.ts'
import type { DeliveryDeps } from '../../../monitoring/alerts/deliver/deliver-alerts.ts'
import { deliverAlerts } from '../../../monitoring/alerts/deliver/deliver-alerts.ts'
import { formatRequest } from '../../../monitoring/alerts/deliver/formats.ts'
import { sendRequest } from '../../../monitoring/alerts/deliver/send-request.ts'
import { readAlerts } from '../../../monitoring/alerts/read-alerts.ts'
import { recordEvaluation } from '../../../monitoring/alerts/record-evaluation.ts'
import { silenceAlert, unsilenceAlert } from '../../../monitoring/alerts/silences.ts'
import type { ChannelOptions } from '../../../registry/define/channel.ts'
import { channel } from '../../../registry/define/channel.ts'
import type { ChannelSpec } from '../../../registry/monitor-spec.ts'
import { awaitJob } from '../../../runtime/jobs/await-job.ts'
import { submitJob } from '../../../runtime/jobs/submit-job.ts'
import { during, openServer } from '../../opened-database.ts'
import { unlessStalled } from '../../unless-slow.ts'
import { startMailServer } from './mail-server.ts'
import type { Receiver } from './monitors.ts'
import { checked, clockMonitor, heldStep, hookAt, minute, readSecret, result, startReceiver } from './monitors.ts'

const opened = during(openServer)
let receiver: Receiver
beforeAll(async () => {
  receiver = await startReceiver()
})
afterAll(() => receiver?.close())
beforeEach(async () => {
  receiver.behave(200)
  await opened().db.query('delete from lockstep.alert_deliveries')
})

const now = 1_700_000_000_000_000
const deps = (more: Partial<DeliveryDeps> = {}): DeliveryDeps => ({
  db: opened().db,
  channels: async () => hookAt(receiver.url),
  readSecret,
  allowPrivate: true,
  publicUrl: null,
  clock: () => now,
  ...more,
})

const job = { id: 1, subject: 'hook', scope: '', moment: null, chunks: 1, spec: { channel: 'hook' }, plan: null }
const deliver = async (more: Partial<DeliveryDeps> = {}) => await deliverAlerts(deps(more)).run(job, null, heldStep())

/** Alerts that fire and are resolved, as two deliveries each. */
async function alertTwice(...names: readonly string[]): Promise<void> {
  for (const name of names) {
    const monitor = clockMonitor(name)
    await recordEvaluation(opened().db, monitor, hookAt(receiver.url), minute, checked(result('breach')))
    await recordEvaluation(opened().db, monitor, hookAt(receiver.url), 2 * minute, checked(result('ok')))
  }
}

const waiting = async () =>
  await opened().db.query(`select state, attempts, error, message->>'monitor' as monitor, message->>'event' as event
    from lockstep.alert_deliveries order by id`)

/** The notifications that the receiver got since then. */
function since(at: number): { readonly event: string; readonly monitor: string; readonly key: string }[] {
  return receiver.received.slice(at).map(({ text }) => JSON.parse(text) as { event: string; monitor: string; key: string })
}

describe('a delivery', () => {
  it('sends what waits in order, once each, signed', async () => {
    await alertTwice('a', 'b')
    const at = receiver.received.length
    expect(await deliver()).toEqual({ sent: 4, dropped: 0 })
    expect(since(at).map(({ monitor, event }) => `${monitor} ${event}`)).toEqual(['a firing', 'a resolved', 'b firing', 'b resolved'])
    expect(since(at).every((body) => !('link' in body))).toBe(true)
    expect(new Set(since(at).map(({ key }) => key)).size).toBe(4)
    const [first] = receiver.received.slice(at)
    const { 'lockstep-timestamp': timestamp, 'lockstep-signature': signature, 'idempotency-key': key } = first?.headers ?? {}
    const expected = createHmac('sha256', 'a secret')
      .update(`${String(timestamp)}.${first?.text}`)
      .digest('hex')
    expect(signature).toBe(`v1=${expected}`)
    expect(timestamp).toBe('1700000000')
    expect(key).toMatch(/^lockstep:[0-9a-f]{12}:alert:\d+:firing$/)
    expect(await deliver()).toEqual({ sent: 0, dropped: 0 })
  })

  it('links to the page of the alert, if it is known where browsers reach the dashboard', async () => {
    await alertTwice('linked')
    const at = receiver.received.length
    expect(await deliver({ publicUrl: new URL('https://features.example') })).toEqual({ sent: 2, dropped: 0 })
    const bodies = receiver.received.slice(at).map(({ text }) => JSON.parse(text) as { readonly alert: number; readonly link: string })
    for (const { alert, link } of bodies) expect(link).toBe(`https://features.example/ui/alerts?alert=${alert}`)
  })

  it.each([
    ['refuses', 503, '"127.0.0.1" answered with status 503'],
    ['is too slow', 'hang', '"127.0.0.1" did not answer within 2 s'],
    ['dies while it answers', 'break', '"127.0.0.1" cannot be reached (ECONNRESET)'],
    ['redirects', 302, '"127.0.0.1" answered with status 302'],
  ] as const)('to a receiver that %s stays, and nothing of the alert overtakes it', async (_, how, error) => {
    // a process that is held up for the 2 s gives up before it has sent anything
    await unlessStalled(1_000, async (attempt) => {
      await opened().db.query('delete from lockstep.alert_deliveries')
      await alertTwice(`c${String(how)}${attempt}`)
      receiver.behave(how)
      const at = receiver.received.length
      const delivery = deliver(how === 'hang' ? { timeoutMs: 2_000 } : {})
      await expect(delivery).rejects.toMatchObject({ code: 'DELIVERY_FAILED', message: expect.stringContaining(error) as string })
      expect(await waiting()).toMatchObject([
        { state: 'open', attempts: 1, event: 'firing', error: expect.stringContaining(error) as string },
        { state: 'open', attempts: 0, event: 'resolved', error: null },
      ])
      receiver.behave(200)
      expect(await deliver()).toEqual({ sent: 2, dropped: 0 })
      const [refused, firing, resolved] = since(at)
      expect([refused?.key, firing?.event, resolved?.event]).toEqual([firing?.key, 'firing', 'resolved'])
      expect(await waiting()).toMatchObject([{ state: 'sent' }, { state: 'sent' }])
    })
  })

  it('to a receiver that is down stays, and is tried only a few times at once', async () => {
    const down = await startReceiver()
    await down.close()
    await alertTwice('d1', 'd2', 'd3', 'd4', 'd5')
    await expect(deliver({ channels: async () => hookAt(down.url) })).rejects.toThrow('ECONNREFUSED')
    expect((await waiting()).map(({ attempts }) => attempts)).toEqual([1, 0, 1, 0, 1, 0, 0, 0, 0, 0])
    expect(await deliver()).toEqual({ sent: 10, dropped: 0 })
  })

  it('that a receiver never takes keeps no other from it', async () => {
    await alertTwice('n1', 'n2', 'n3', 'n4')
    await opened().db.query(`update lockstep.alert_deliveries set message = '{}' where message->>'monitor' < 'n4'`)
    const at = receiver.received.length
    await expect(deliver()).rejects.toThrow()
    await expect(deliver()).rejects.toThrow()
    expect(since(at).map(({ monitor, event }) => `${monitor} ${event}`)).toEqual(['n4 firing', 'n4 resolved'])
  })

  it('of a channel that is gone is dropped, with the reason', async () => {
    await alertTwice('e')
    expect(await deliver({ channels: async () => new Map<string, ChannelSpec>() })).toEqual({ dropped: 2 })
    expect(await waiting()).toMatchObject([{ state: 'dropped', error: 'The channel is no longer declared.' }, { state: 'dropped' }])
  })

  it('waits for a secret that is not set, and names its variable', async () => {
    await alertTwice('f')
    await expect(deliver({ readSecret: () => null })).rejects.toThrow('needs the environment variable "HOOK_SECRET"')
    expect(await deliver()).toEqual({ sent: 2, dropped: 0 })
  })

  it('that was not taken before its alert was silenced waits for the end of the silence', async () => {
    const by = { actor: 'ada@test', reason: 'a test' }
    await recordEvaluation(opened().db, clockMonitor('quiet'), hookAt(receiver.url), minute, checked(result('breach')))
    receiver.behave(503)
    await expect(deliver()).rejects.toThrow('503')
    receiver.behave(200)
    const [alert] = await readAlerts(opened().db, { monitor: 'quiet' })
    await silenceAlert(opened().db, alert?.id ?? 0, 60 * minute, by)
    await alertTwice('loud')
    await opened().db.query(`update lockstep.alert_deliveries set created_at = created_at - interval '4 days' where attempts = 1`)
    const at = receiver.received.length
    expect(await deliver()).toEqual({ sent: 2, dropped: 0 })
    expect(since(at).map(({ monitor }) => monitor)).toEqual(['loud', 'loud'])
    expect(await deliverAlerts(deps()).schedules?.()).toEqual([])
    await recordEvaluation(opened().db, clockMonitor('quiet'), hookAt(receiver.url), 2 * minute, checked(result('ok')))
    expect(await deliver()).toEqual({ sent: 0, dropped: 0 })
    expect(await deliverAlerts(deps()).schedules?.()).toEqual([])
    await unsilenceAlert(opened().db, alert?.id ?? 0, by)
    expect(await deliver()).toEqual({ sent: 2, dropped: 0 })
    expect(since(at).map(({ monitor, event }) => `${monitor} ${event}`)).toEqual([
      'loud firing',
      'loud resolved',
      'quiet firing',
      'quiet resolved',
    ])
  })

  it('to a private address is refused, by its number and by its name', async () => {
    await alertTwice('g')
    await expect(deliver({ allowPrivate: false })).rejects.toThrow('The receiver "127.0.0.1" has a private address.')
    const named = hookAt(receiver.url.replace('127.0.0.1', 'localhost'))
    const at = receiver.received.length
    await expect(deliver({ allowPrivate: false, channels: async () => named })).rejects.toThrow(
      'The receiver "localhost" has a private address.',
    )
    expect(receiver.received).toHaveLength(at)
  })

  it('is a job, which is retried automatically', async () => {
    await alertTwice('h')
    receiver.behave(500)
    const at = receiver.received.length
    const kind = { ...deliverAlerts(deps()), backoffSeconds: { from: 0.01, to: 0.01 } }
    const submitted = await submitJob(opened().db, kind, { spec: { channel: 'hook' }, subject: 'hook', key: 'hook', worker: 'test' })
    const done = awaitJob(opened().db, submitted?.id ?? 0, {
      signal: AbortSignal.timeout(120_000),
      work: { kinds: [kind], worker: 'test', idleMs: 10 },
    })
    await expect.poll(() => receiver.received.length, { timeout: 60_000, interval: 10 }).toBeGreaterThan(at + 1)
    receiver.behave(200)
    expect(await done).toMatchObject({ state: 'done' })
    expect(new Set(since(at).map(({ key }) => key)).size).toBe(2)
    expect(since(at).at(-1)?.event).toBe('resolved')
  })

  it('by mail counts as sent if some recipients take it, and names the others', async () => {
    await alertTwice('m')
    const server = await startMailServer({ disabledCommands: ['STARTTLS', 'AUTH'], authOptional: true })
    const url = `smtp://localhost:${server.port}?tls=off`
    const { spec } = channel('hook', { kind: 'email', url, from: 'alerts@ops.example', to: ['a@ops.example', 'b@gone.example'] })
    expect(await deliver({ channels: async () => new Map([['hook', spec]]) })).toEqual({ sent: 2, dropped: 0 })
    await server.close()
    expect(server.received.map(({ to, raw }) => [to, /^Subject: (.*)\r$/m.exec(raw)?.[1]])).toEqual([
      [['a@ops.example'], 'Page: m: clock of clock'],
      [['a@ops.example'], 'Resolved: m: clock of clock'],
    ])
    const error = 'Some recipients were refused: "b@gone.example" (550 No such mailbox)'
    expect(await waiting()).toMatchObject([
      { state: 'sent', error },
      { state: 'sent', error },
    ])
  })

  it('has a schedule for each channel for which something waits', async () => {
    expect(await deliverAlerts(deps()).schedules?.()).toEqual([])
    await alertTwice('i')
    expect(await deliverAlerts(deps()).schedules?.()).toEqual([
      { key: 'hook', subject: 'hook', cron: '* * * * *', spec: { channel: 'hook' } },
    ])
  })
})

describe('the form of', () => {
  const message = {
    ...testMessage('lockstep:abc:alert:7', '2026-03-01T12:00:00.000000Z'),
    event: 'firing' as const,
    alert: 7,
    monitor: 'model:delay',
    check: 'parity',
    subject: 'delay',
    severity: 'page' as const,
    summary: 'parity of delay: 3 < 4',
    runbook: 'https://wiki.example/parity',
    evidence: { vectors: 10 },
  }
  const resolved = { ...message, event: 'resolved' as const, resolvedAt: '2026-03-01T13:00:00.000000Z' }
  const sent = (options: Exclude<ChannelOptions, { kind: 'email' }>, of: SentMessage = message): { url: string; body: unknown } => {
    const { spec } = channel('c', options)
    if (spec.kind === 'email') throw new Error('A mail is no request.')
    const secret = ({ env }: { readonly env: string }) => readSecret(env) ?? `https://${env}.example`
    const { url, body } = formatRequest(spec, typeof spec.url === 'string' ? spec.url : secret(spec.url), of, 'k', secret, now)
    return { url, body: JSON.parse(body) as unknown }
  }

  it('of each channel links to the dashboard, if its address is known', () => {
    const linked = withLink(message, new URL('https://features.example'))
    const link = 'https://features.example/ui/alerts?alert=7'
    expect(sent({ kind: 'pagerduty', routingKey: { env: 'PAGER_KEY' } }, linked).body).toMatchObject({ client_url: link })
    expect(sent({ kind: 'alertmanager', url: 'https://am.example' }, linked).body).toMatchObject([{ generatorURL: link }])
    expect(JSON.stringify(sent({ kind: 'slack', url: { env: 'SLACK' } }, linked).body)).toContain(`<${link}|Dashboard>`)
    expect(withLink(testMessage('k', '2026-03-01T12:00:00Z'), new URL('https://features.example'))).not.toHaveProperty('link')
  })

  it('PagerDuty is Events v2: trigger, and resolve with the same key', () => {
    const options = { kind: 'pagerduty', routingKey: { env: 'PAGER_KEY' } } as const
    expect(sent(options)).toEqual({
      url: 'https://events.pagerduty.com/v2/enqueue',
      body: {
        routing_key: 'R0UT1NG',
        dedup_key: 'lockstep:abc:alert:7',
        event_action: 'trigger',
        payload: {
          summary: 'parity of delay: 3 < 4',
          source: 'delay',
          severity: 'critical',
          timestamp: '2026-03-01T12:00:00.000000Z',
          component: 'model:delay',
          class: 'parity',
          custom_details: { cause: null, value: null, threshold: null, n: null, evidence: { vectors: 10 }, description: null },
        },
        client: 'Lockstep',
        links: [{ href: 'https://wiki.example/parity', text: 'Runbook' }],
      },
    })
    expect(sent(options, resolved).body).toEqual({ routing_key: 'R0UT1NG', dedup_key: 'lockstep:abc:alert:7', event_action: 'resolve' })
  })

  it('Slack has escaped text, at the URL of the variable', () => {
    expect(sent({ kind: 'slack', url: { env: 'SLACK' } })).toEqual({
      url: 'https://SLACK.example',
      body: {
        text: 'parity of delay: 3 &lt; 4',
        blocks: [
          { type: 'section', text: { type: 'mrkdwn', text: '*Page* parity of delay: 3 &lt; 4\n<https://wiki.example/parity|Runbook>' } },
          { type: 'context', elements: [{ type: 'mrkdwn', text: 'Since 2026-03-01T12:00:00.000000Z' }] },
        ],
      },
    })
  })

  it('Alertmanager ends in a year, or when it was resolved, under the same labels', () => {
    const options = { kind: 'alertmanager', url: 'https://am.example/' } as const
    const labels = {
      alertname: 'Lockstep_parity',
      monitor: 'model:delay',
      check: 'parity',
      subject: 'delay',
      severity: 'page',
      alert: 'lockstep:abc:alert:7',
    }
    const times = (endsAt: string) => ({ startsAt: '2026-03-01T12:00:00.000000Z', endsAt })
    const annotations = { summary: 'parity of delay: 3 < 4', runbook_url: 'https://wiki.example/parity' }
    expect(sent(options)).toEqual({
      url: 'https://am.example/api/v2/alerts',
      body: [{ labels, annotations, ...times('2027-03-01T12:00:00Z') }],
    })
    expect(sent(options, resolved).body).toEqual([{ labels, annotations, ...times('2026-03-01T13:00:00.000000Z') }])
  })
})

it('a request to something that is no URL is refused without showing it', async () => {
  const options = { allowPrivate: true, timeoutMs: 100, signal: new AbortController().signal }
  for (const url of ['a secret', 'ftp://secret.example/x'])
    await expect(sendRequest({ url, headers: {}, body: '' }, options)).rejects.not.toThrow('secret')
})
