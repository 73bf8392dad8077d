import { describe, expect, it } from 'vitest'
import { collectDefinitions } from '../../registry/load/collect.ts'
import { channel } from '../../registry/define/channel.ts'
import type { ChannelOptions } from '../../registry/define/channel.ts'
import { entity } from '../../registry/define/entity.ts'
import { last } from '../../registry/define/aggregate.ts'
import { featureService } from '../../registry/define/feature-service.ts'
import { featureView } from '../../registry/define/feature-view.ts'
import { model } from '../../registry/define/model.ts'
import type { MonitorOptions } from '../../registry/define/monitor.ts'
import { monitor } from '../../registry/define/monitor.ts'
import { source } from '../../registry/define/source.ts'
import { t } from '../../registry/define/t.ts'
import { loadDefinitions } from '../../registry/load/load-definitions.ts'
import { checkChannels } from '../../registry/changes/check-channels.ts'
import type { Definition } from '../../registry/definition.ts'

const airport = entity('airport', { key: { airport: t.string } })
const landings = source('landings', { table: 'landings', key: { airport: 'airport' }, eventTime: 'at', columns: { delay: t.float64 } })
const view = featureView('delays', { version: 1, entity: airport, source: landings, online: true, features: { delay: last('delay') } })
const service = featureService('flights', { version: 1, features: [view] })
const delay = model('delay', { service, output: { probability: t.float32 } })
const oncall = channel('oncall', { kind: 'pagerduty', routingKey: { env: 'PAGERDUTY_KEY' } })

const refused = (body: object, name = 'inputs'): string => {
  try {
    monitor(name, body as MonitorOptions)
  } catch (error) {
    return String(error)
  }
  return 'not refused'
}
const refusedChannel = (body: object): string => {
  try {
    channel('c', body as ChannelOptions)
  } catch (error) {
    return String(error)
  }
  return 'not refused'
}

describe('a monitor', () => {
  it('has defaults, and the options of its checks', () => {
    expect(
      monitor('inputs', { model: delay, checks: [{ kind: 'freshness', maxLag: '5m' }, { kind: 'parity' }], notify: [oncall] }).spec,
    ).toEqual({
      name: 'inputs',
      target: { kind: 'model', model: 'delay' },
      everyMicros: 300_000_000,
      windowMicros: 3_600_000_000,
      forMicros: 0,
      clearAfter: 3,
      noDataMicros: 10_800_000_000,
      severity: 'ticket',
      checks: [
        { kind: 'freshness', maxLag: '5m' },
        { kind: 'parity', budget: 0, vectors: 200 },
      ],
      notify: ['oncall'],
      runbook: null,
    })
  })

  it('brings what it watches and whom it notifies', () => {
    const { models, services, views, channels, monitors } = collectDefinitions([
      monitor('inputs', { model: delay, checks: [{ kind: 'parity' }], notify: [oncall] }),
    ])
    expect([models, services, views, channels, monitors].map((list) => list.map(({ name }) => name))).toEqual([
      ['delay'],
      ['flights'],
      ['delays'],
      ['oncall'],
      ['inputs'],
    ])
  })

  it.each([
    [
      'an unknown option of a check',
      { model: delay, checks: [{ kind: 'parity', buget: 0 }] },
      'has the option "buget" in its check "parity", which does not exist. Its options are budget, vectors.',
    ],
    [
      'a wrong value of one',
      { model: delay, checks: [{ kind: 'parity', budget: 2 }] },
      'has budget: 2 in its check "parity"; write a number from 0 to 1.',
    ],
    ['an unknown kind of check', { model: delay, checks: [{ kind: 'freshnes' }] }, 'Did you mean "freshness"?'],
    [
      'a name in place of a list of columns',
      { model: delay, checks: [{ kind: 'nulls', columns: 'mean_delay' }] },
      `has columns: "mean_delay" in its check "nulls"; write a list of names, such as ['amount'].`,
    ],
    [
      'an unknown baseline',
      { model: delay, checks: [{ kind: 'drift', baseline: 'last week' }] },
      `write 'training', 'same-hour-yesterday', 'same-hour-last-week', { previous: '7d' } or { dataset: ID }.`,
    ],
    ['a baseline without a duration', { model: delay, checks: [{ kind: 'drift', baseline: { previous: 'week' } }] }, "write 'training'"],
    ['a figure without a limit', { model: delay, checks: [{ kind: 'quality', figure: 'auc' }] }, 'write both, as in { kind:'],
    ['a limit without a figure', { model: delay, checks: [{ kind: 'quality', min: 0.7 }] }, 'write both, as in { kind:'],
    ['an unknown figure', { model: delay, checks: [{ kind: 'quality', figure: 'gini', min: 0.7 }] }, 'write one of auc, logLoss'],
    ['drift of a view', { view, checks: [{ kind: 'drift' }] }, 'needs a model; add one.'],
    ['no checks', { model: delay, checks: [] }, 'has no checks; add one'],
    ['a check twice', { model: delay, checks: [{ kind: 'parity' }, { kind: 'parity' }] }, 'has two checks "parity"'],
    [
      'a for that is shorter than its every',
      { model: delay, checks: [{ kind: 'parity' }], for: '1m' },
      'has for: "1m", which is shorter than its every: "5m"',
    ],
    ['a window that is shorter than its every', { model: delay, checks: [{ kind: 'parity' }], window: '1m' }, 'has the window "1m"'],
    [
      'an every without a schedule',
      { model: delay, checks: [{ kind: 'parity' }], every: '7m' },
      'runs every "7m"; write one of 1m, 2m, 5m',
    ],
    [
      'a name of a channel in place of it',
      { model: delay, checks: [{ kind: 'parity' }], notify: ['oncall'] },
      'it must be a channel: pass the value itself, not its name.',
    ],
    [
      'a check of the system for a model',
      { model: delay, checks: [{ kind: 'jobs' }] },
      'which watches the system; write a monitor without model and view for it.',
    ],
    ['a check of a model for the system', { checks: [{ kind: 'parity' }] }, 'which watches a model or a view; add a model or a view.'],
    ['parity of a view', { view, checks: [{ kind: 'parity' }] }, 'needs a model; add one.'],
    ['a model and a view', { model: delay, view, checks: [{ kind: 'freshness' }] }, 'has a model and a view'],
    ['an unknown field', { model: delay, checks: [{ kind: 'parity' }], sevirity: 'page' }, 'has the field "sevirity"'],
    ['a wrong severity', { model: delay, checks: [{ kind: 'parity' }], severity: 'warn' }, 'write one of page, ticket.'],
    ['a wrong runbook', { model: delay, checks: [{ kind: 'parity' }], runbook: 'wiki' }, 'write a URL that begins with https://.'],
  ])('with %s is refused', (_, body, message) => {
    expect(refused(body)).toContain(message)
  })

  it('without a description of its model is turned off by the model', () => {
    expect(model('quiet', { service, output: { p: t.float32 }, monitors: 'none' }).operational).toEqual({ monitors: 'none' })
    expect(() => model('quiet', { service, output: { p: t.float32 }, monitors: 'all' as 'none' })).toThrow(
      `has the monitors "all"; write 'none'`,
    )
  })
})

describe('a channel', () => {
  const mail = { kind: 'email', url: { env: 'SMTP_URL' }, from: 'Lockstep <a@b.example>', to: ['c@b.example'] }
  it('of mail takes a sender with and without a name, and each recipient once', () => {
    for (const from of ['a@b.example', 'Lockstep alerts <a@b.example>', 'Åsa O’Neil <a@b.example>'])
      expect(channel('c', { ...mail, kind: 'email', from, to: ['c@b.example', 'c@b.example'] }).spec).toMatchObject({
        from,
        to: ['c@b.example'],
        url: { env: 'SMTP_URL' },
      })
    expect(channel('c', { ...mail, kind: 'email', url: 'smtp://relay.example?tls=off' }).spec.url).toBe('smtp://relay.example?tls=off')
  })

  it.each([
    ['a webhook without a secret', { kind: 'webhook', url: 'https://alerts.example/' }, 'needs a secret'],
    ['a webhook with its secret in the definition', { kind: 'webhook', url: 'https://alerts.example/', secret: 's' }, 'has a wrong secret'],
    ['a secret in the definition', { kind: 'pagerduty', routingKey: 'R0UT1NG' }, 'secrets stay out of definitions'],
    ['a secret URL in the definition', { kind: 'slack', url: 'https://hooks.slack.com/services/T/B/x' }, 'secrets stay out of definitions'],
    [
      'a variable of Lockstep itself',
      { kind: 'webhook', url: 'https://a.example', secret: { env: 'LOCKSTEP_POSTGRES_URL' } },
      'are not sent to anybody',
    ],
    ['a password in its URL', { kind: 'alertmanager', url: 'https://u:p@a.example' }, 'has a URL with a password'],
    ['no URL', { kind: 'alertmanager', url: 'a.example' }, 'write one that begins with https://'],
    ['an unknown kind', { kind: 'fax' }, 'write one of webhook, slack, pagerduty, alertmanager, email'],
    ['mail with a password in its URL', { ...mail, url: 'smtps://u:p@mail.example' }, 'has a URL with a password'],
    ['mail at another protocol', { ...mail, url: 'https://mail.example' }, 'it does not begin with smtps:// or smtp://'],
    ['mail from nobody', { ...mail, from: 'Lockstep' }, 'has the sender "Lockstep"; write an address'],
    ['mail whose sender adds a header', { ...mail, from: 'a\nBcc: b <a@b.example>' }, 'has the sender'],
    ['mail to nobody', { ...mail, to: [] }, 'write a list of addresses'],
    ['mail to one address without a list', { ...mail, to: 'a@b.example' }, 'has the recipient "a@b.example"; write a list of addresses'],
    ['mail to what is no address', { ...mail, to: ['a@b.example', 'c'] }, 'has the recipient "c"'],
    ['mail to too many', { ...mail, to: Array.from({ length: 51 }, (_, i) => `a${i}@b.example`) }, 'name a mailing list'],
    ['a field of another kind', { kind: 'slack', url: { env: 'S' }, secret: { env: 'S' } }, 'has the field "secret"'],
  ])('with %s is refused', (_, body, message) => {
    expect(refusedChannel(body)).toContain(message)
  })

  it('at a private address is a problem of the plan', () => {
    const at = (url: string) => {
      const { spec } = channel('hook', url.startsWith('smtp') ? { ...mail, kind: 'email', url } : { kind: 'alertmanager', url })
      return checkChannels([
        {
          kind: 'channel',
          name: 'hook',
          version: 0,
          fingerprint: '',
          spec,
          operational: {},
          retired: false,
          signature: null,
        } satisfies Definition,
      ])
    }
    for (const host of ['127.0.0.1', 'localhost', '[::1]', '10.0.0.1', '169.254.169.254', '0x7f.1', 'alerts.internal'])
      expect(at(`http://${host}:9093`).map(({ message }) => message)).toEqual([expect.stringContaining('is a private address')])
    expect(at('https://alerts.example')).toEqual([])
    expect(at('smtp://10.0.0.1?tls=off')).toHaveLength(1)
    expect(at('smtp://relay.example?tls=off')).toEqual([])
  })
})

it('a definitions file has monitors and channels', async () => {
  const set = await loadDefinitions(new URL('monitored.ts', import.meta.url).pathname)
  expect(set.monitors.map(({ spec, operational }) => [spec.name, operational])).toEqual([['speed', { description: 'Speeds arrive.' }]])
  expect(set.channels.map(({ spec }) => spec.name)).toEqual(['team'])
  expect(set.monitors[0]?.fingerprint).toMatch(/^[0-9a-f]{64}$/)
})
