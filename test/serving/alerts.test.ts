import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { recordEvaluation } from '../../monitoring/alerts/record-evaluation.ts'
import { checked, clockMonitor, hookAt, minute, result } from '../monitoring/alerts/monitors.ts'
import type { World } from './world.ts'
import { ask, createWorld } from './world.ts'

let world: World
let url: string
beforeAll(async () => {
  world = await createWorld('embedded')
  await world.materialize('airport_required')
  const served = await world.serve()
  url = served.url
  await served.server.whenReady()
  const channels = hookAt('https://alerts.example')
  await recordEvaluation(world.db, clockMonitor('first'), channels, minute, checked(result('breach')))
  await recordEvaluation(world.db, clockMonitor('second', { severity: 'ticket' }), channels, minute, checked(result('breach', 'b')))
  await recordEvaluation(world.db, clockMonitor('first'), channels, 2 * minute, checked(result('ok')))
})
afterAll(() => world?.close())

const alertsIn = (body: object) => (body as { alerts: { id: number; monitor: string; state: string }[] }).alerts

describe('/v1/alerts', () => {
  it('lists alerts, firing ones first, by state, monitor and severity', async () => {
    const listed = async (query: string) => {
      const { body } = await ask(url, `/v1/alerts${query}`)
      return alertsIn(body).map(({ monitor, state }) => `${monitor} ${state}`)
    }
    expect(await listed('')).toEqual(['second firing', 'first resolved'])
    expect(await listed('?state=resolved')).toEqual(['first resolved'])
    expect(await listed('?monitor=second')).toEqual(['second firing'])
    expect(await listed('?severity=page&limit=1')).toEqual(['first resolved'])
    expect(await ask(url, '/v1/alerts?state=odd')).toMatchObject({ status: 400, body: { error: { code: 'INVALID_REQUEST' } } })
  })

  it('shows one with its evidence and notifications, and silences it', async () => {
    const { body } = await ask(url, '/v1/alerts?state=firing')
    const [{ id } = { id: 0 }] = alertsIn(body)
    const shown = {
      monitor: 'second',
      subject: 'b',
      cause: 'The clock is wrong.',
      evidence: { host: 'a' },
      silencedUntil: null,
      deliveries: [{ channel: 'hook', event: 'firing', state: 'open', attempts: 0 }],
    }
    expect(await ask(url, `/v1/alerts/${id}`)).toMatchObject({ status: 200, body: shown })
    const silenced = await ask(url, `/v1/alerts/${id}/silence`, { for: '2h', reason: 'known' })
    expect(silenced).toMatchObject({ status: 200, body: { silencedUntil: expect.stringMatching(/Z$/) as string } })
    expect(await ask(url, `/v1/alerts/${id}/unsilence`, {})).toMatchObject({ status: 200, body: { silencedUntil: null } })
    expect(await ask(url, `/v1/alerts/${id}/unsilence`, {})).toMatchObject({ status: 400, body: { error: { code: 'INVALID_REQUEST' } } })
    expect(await ask(url, `/v1/alerts/${id}/silence`, { for: '31d' })).toMatchObject({ status: 400 })
    expect(await ask(url, `/v1/alerts/${id}/silence`, { for: 'long' })).toMatchObject({
      status: 400,
      body: { error: { code: 'INVALID_REQUEST' } },
    })
    // PostgreSQL stores no zero bytes
    expect(await ask(url, `/v1/alerts/${id}/silence`, { for: '2h', reason: 'a\0b' })).toMatchObject({ status: 400 })
    expect(await ask(url, '/v1/alerts?monitor=a%00b')).toMatchObject({ status: 400 })
    for (const none of ['999', 'x'])
      expect(await ask(url, `/v1/alerts/${none}`)).toMatchObject({ status: 404, body: { error: { code: 'NOT_FOUND' } } })
  })
})
