import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { recordEvaluation } from '../../../monitoring/alerts/record-evaluation.ts'
import { listKeys } from '../../../registry/keys/api-keys.ts'
import { defaultUi } from '../../../runtime/ui-settings.ts'
import { readModels } from '../../../serving/dashboard/read-models.ts'
import { checked, clockMonitor, hookAt, minute, result } from '../../monitoring/alerts/monitors.ts'
import type { World } from '../world.ts'
import { createWorld } from '../world.ts'
import type { Visitor } from './visitor.ts'
import { createVisitor } from './visitor.ts'

let world: World
let url: string
let ann: Visitor
beforeAll(async () => {
  world = await createWorld('embedded')
  await world.materialize('airport_required')
  await world.push('delay', 'logistic')
  await world.push('delay', 'logistic', 'second')
  const served = await world.serve()
  url = served.url
  await served.server.whenReady()
  await recordEvaluation(world.db, clockMonitor('clock'), hookAt('https://alerts.example'), minute, checked(result('breach')))
  ann = createVisitor(url)
  await ann.login(world.db)
})
afterAll(() => world?.close())

const post = (visitor: Visitor, path: string, body: object, ifMatch?: string) =>
  visitor.ask(`/ui/api${path}`, { method: 'POST', body, headers: ifMatch === undefined ? {} : { 'if-match': ifMatch } })
const dataOf = async (path: string) => (await ann.ask(`/ui/api${path}`)).body.data
const auditOf = async () =>
  ((await dataOf('/audit')) as { records: { who: string; what: string; subject: string; reason: string }[] }).records

/** What stands for the parameters of paths. */
const examples: Readonly<Record<string, string>> = {
  '/views/:id': '/views/airport_delays',
  '/views/:id/freshness': '/views/airport_delays@1/freshness',
  '/sources/:id': '/sources/landings',
  '/services/:id': '/services/flight',
  '/features/:id/stats': '/features/airport_delays@1.lastDelay/stats',
  '/models/:id': '/models/delay',
  '/models/:id/quality': '/models/delay/quality',
  '/models/:id/calibration': '/models/delay/calibration',
  '/search': '/search?q=airport',
  '/lineage': '/lineage?focus=airport_delays&up=2&down=3',
}

describe('every read model', () => {
  it.each(readModels.map((model) => [model.path, model] as const))('answers by its contract: %s', async (path, { data }) => {
    const seen = await ann.ask(`/ui/api${examples[path] ?? path}`)
    expect([seen.status, seen.body.error]).toEqual([200, undefined])
    // nothing is left out, and nothing is there that the contract does not name
    expect(data.parse(seen.body.data)).toEqual(seen.body.data)
    expect(seen.body.asOf).toBe('2001-07-01T12:00:00Z')
    expect(await ann.ask(`/ui/api${examples[path] ?? path}`, { headers: { 'if-none-match': seen.headers.etag ?? '' } })).toMatchObject({
      status: 304,
      text: '',
    })
  })
})

describe('an act', () => {
  it('changes a model by the version that the page shows, with its reason in the audit log', async () => {
    const { revision } = (await dataOf('/models/delay')) as { revision: string }
    const body = { version: 2, reason: 'better on June' }
    expect(await post(ann, '/models/delay/promote', body)).toMatchObject({ status: 400, body: { error: { code: 'INVALID_REQUEST' } } })
    expect(await post(ann, '/models/delay/promote', { version: 2 }, revision)).toMatchObject({ status: 400 })
    expect(await post(ann, '/models/delay/promote', { version: 2, reason: ' ' }, revision)).toMatchObject({ status: 400 })
    expect(await post(ann, '/models/delay/promote', body, revision)).toMatchObject({ status: 200, body: { data: { inForce: true } } })
    const stale = await post(ann, '/models/delay/promote', { version: 1, reason: 'older page' }, revision)
    expect(stale).toMatchObject({ status: 412, body: { error: { code: 'STALE' } } })
    expect(await dataOf('/models/delay')).toMatchObject({ champion: 2 })
    expect((await auditOf())[0]).toMatchObject({ who: 'ann@laptop', what: 'model.promote', subject: 'delay', reason: 'better on June' })
  })

  it('pins and unpins a model', async () => {
    const revision = async () => ((await dataOf('/models/delay')) as { revision: string }).revision
    expect(await post(ann, '/models/delay/pin', { version: 1, reason: 'a' }, await revision())).toMatchObject({ status: 200 })
    expect(await dataOf('/models/delay')).toMatchObject({ pinned: 1 })
    expect(await post(ann, '/models/delay/unpin', { reason: 'b' }, await revision())).toMatchObject({ status: 200 })
    expect(await dataOf('/models/delay')).toMatchObject({ pinned: null })
  })

  it('silences an alert, and ends the silence', async () => {
    const { alerts } = (await dataOf('/alerts')) as { alerts: { id: string; says: string }[] }
    expect(alerts).toMatchObject([{ monitor: 'clock', state: 'firing', cause: 'The clock is wrong.' }])
    const path = `/alerts/${alerts[0]?.id}`
    expect(await post(ann, `${path}/silence`, { for: '2h', reason: 'known' })).toMatchObject({ status: 200 })
    expect(await post(ann, `${path}/unsilence`, { reason: 'mended' })).toMatchObject({ status: 200 })
    expect(await post(ann, `${path}/silence`, { for: '31d', reason: 'known' })).toMatchObject({ status: 400 })
    expect((await auditOf()).slice(0, 2).map(({ what, reason }) => [what, reason])).toEqual([
      ['alert.unsilence', 'mended'],
      ['alert.silence', 'known'],
    ])
  })

  it('is refused without its scope, without a session, and where nothing may be changed', async () => {
    const made = await post(ann, '/keys', { name: 'reader', scopes: ['ui:read'], reason: 'for Bob' })
    const { id, secret } = made.body.data as { id: string; secret: string }
    const bob = createVisitor(url)
    expect(await bob.login(world.db, { key: secret })).toMatchObject({ status: 201 })
    expect(await post(bob, '/keys', { name: 'x', scopes: ['admin'], reason: 'x' })).toMatchObject({ status: 403 })
    expect(await post(bob, '/models/delay/unpin', { reason: 'x' }, 'any')).toMatchObject({ status: 403 })
    expect(await bob.ask('/ui/api/keys')).toMatchObject({ status: 403 })
    expect(await post(createVisitor(url), '/keys', { name: 'x', scopes: ['admin'], reason: 'x' })).toMatchObject({ status: 401 })
    expect(await post(ann, `/keys/${id}/revoke`, { reason: 'Bob left' })).toMatchObject({ status: 200 })
    expect(await bob.ask('/ui/api/now')).toMatchObject({ status: 401 })
    expect((await listKeys(world.db)).map(({ name, revokedAt }) => [name, revokedAt === null])).toEqual([['reader', false]])
    const config = { bodyLimitBytes: 1000, ui: { ...defaultUi, readOnly: true } }
    const readOnly = await world.serve({ config })
    await readOnly.server.whenReady()
    const reader = createVisitor(readOnly.url)
    await reader.login(world.db)
    expect(await reader.ask('/ui/api/session')).toMatchObject({ body: { data: { readOnly: true } } })
    expect((await post(reader, '/keys', { name: 'x', scopes: ['admin'], reason: 'x' })).status).toBe(405)
  })

  it('that creates a key needs a recent log-in', async () => {
    await world.db.query(`update lockstep.ui_sessions set created_at = now() - interval '6 minutes'`, [])
    const late = await post(ann, '/keys', { name: 'x', scopes: ['read'], reason: 'x' })
    expect(late).toMatchObject({ status: 403, body: { error: { code: 'FORBIDDEN', details: { login: 'again' } } } })
  })
})
