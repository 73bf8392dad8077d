import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { recordEvaluation } from '../../../monitoring/alerts/record-evaluation.ts'
import { createKey, keysRevision, listKeys, rotateKey } from '../../../registry/keys/api-keys.ts'
import { startRollout } from '../../../registry/rollouts/change-rollout.ts'
import { defaultUi } from '../../../runtime/settings/ui-settings.ts'
import { modelActs } from '../../../serving/dashboard/acts/model-acts.ts'
import { operationActs } from '../../../serving/dashboard/acts/operation-acts.ts'
import { pipelineActs } from '../../../serving/dashboard/acts/pipeline-acts.ts'
import type { AlertsData } from '../../../serving/dashboard/contract/alerts.ts'
import type { KeysData } from '../../../serving/dashboard/contract/keys.ts'
import type { ModelData } from '../../../serving/dashboard/contract/model.ts'
import type { RolloutData } from '../../../serving/dashboard/contract/rollout.ts'
import { checked, clockMonitor, hookAt, minute, result } from '../../monitoring/alerts/monitors.ts'
import type { World } from '../world.ts'
import { createWorld } from '../world.ts'
import type { Seen, Visitor } from './visitor.ts'
import { createVisitor } from './visitor.ts'

let world: World
let url: string
let ann: Visitor
beforeAll(async () => {
  world = await createWorld('embedded')
  for (const view of ['airport_required', 'airport_delays']) await world.materialize(view)
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

/** Creates a key as a page that has just read the list does. */
const create = async (visitor: Visitor, body: object) => await visitor.post('/keys', body, String(await keysRevision(world.db)))
const stale = { status: 412, body: { error: { code: 'STALE' } } }
const alertsNow = async () => ((await ann.data('/alerts')) as AlertsData).alerts
const keyNow = async (id: string) => ((await ann.data('/keys')) as KeysData).keys.find((key) => key.id === id)
const auditOf = async () =>
  ((await ann.data('/audit')) as { records: { who: string; what: string; subject: string; reason: string }[] }).records

describe('an act', () => {
  it('changes a model by the version that the page shows, with its reason in the audit log', async () => {
    const { revision } = (await ann.data('/models/delay')) as { revision: string }
    const body = { version: 2, reason: 'better on June' }
    expect(await ann.post('/models/delay/promote', body)).toMatchObject({ status: 400, body: { error: { code: 'INVALID_REQUEST' } } })
    expect(await ann.post('/models/delay/promote', { version: 2 }, revision)).toMatchObject({ status: 400 })
    expect(await ann.post('/models/delay/promote', { version: 2, reason: ' ' }, revision)).toMatchObject({ status: 400 })
    expect(await ann.post('/models/delay/promote', body, revision)).toMatchObject({ status: 200, body: { data: { inForce: true } } })
    expect(await ann.post('/models/delay/promote', { version: 1, reason: 'older page' }, revision)).toMatchObject(stale)
    expect(await ann.data('/models/delay')).toMatchObject({ champion: 2 })
    expect((await auditOf())[0]).toMatchObject({ who: 'ann@laptop', what: 'model.promote', subject: 'delay', reason: 'better on June' })
  })

  it('is done once where several pages of one version act at once', async () => {
    const { revision } = (await ann.data('/models/delay')) as { revision: string }
    const seen = await Promise.all([1, 2, 1, 2].map((version) => ann.post('/models/delay/pin', { version, reason: 'race' }, revision)))
    expect(seen.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 412, 412, 412])
    expect((await auditOf()).filter(({ reason }) => reason === 'race')).toHaveLength(1)
    const now = (await ann.data('/models/delay')) as { revision: string }
    expect(await ann.post('/models/delay/unpin', { reason: 'after it' }, now.revision)).toMatchObject({ status: 200 })
  })

  it('makes no key that opens more of the dashboard than its session does', async () => {
    const by = { requestsPerSecond: null, rowsPerSecond: null, expiresAt: null }
    const { text } = await createKey(world.db, { name: 'bob', scopes: ['ui:admin'], ...by })
    const bob = createVisitor(url)
    await bob.login(world.db, { key: text })
    const scopes = [['admin'], ['ui:read', 'explain:read'], ['read', 'ui:admin']]
    const seen: Seen[] = []
    for (const some of scopes) seen.push(await create(bob, { name: 'x', scopes: some, reason: 'x' }))
    expect(seen.map(({ status }) => status)).toEqual([403, 403, 200])
    expect(seen[0]?.body.error).toMatchObject({ code: 'FORBIDDEN', details: { needs: 'explain:read' } })
  })

  it('pins and unpins a model', async () => {
    const revision = async () => ((await ann.data('/models/delay')) as { revision: string }).revision
    expect(await ann.post('/models/delay/pin', { version: 1, reason: 'a' }, await revision())).toMatchObject({ status: 200 })
    expect(await ann.data('/models/delay')).toMatchObject({ pinned: 1 })
    expect(await ann.post('/models/delay/unpin', { reason: 'b' }, await revision())).toMatchObject({ status: 200 })
    expect(await ann.data('/models/delay')).toMatchObject({ pinned: null })
  })

  it('pauses, resumes and aborts a rollout', async () => {
    const { champion } = (await ann.data('/models/delay')) as ModelData
    await startRollout(world.db, 'delay', { version: champion === 1 ? 2 : 1, plan: 'default' }, { actor: 'ann' })
    const read = async () => ((await ann.data('/rollouts/delay')) as RolloutData).rollout
    for (const [what, becomes] of [
      ['pause', { paused: true }],
      ['resume', { paused: false }],
      ['abort', { state: 'aborted' }],
    ] as const) {
      const revision = (await read())?.revision
      expect(await ann.post(`/rollouts/delay/${what}`, { reason: `to ${what}` }, revision)).toMatchObject({ status: 200 })
      expect(await read()).toMatchObject(becomes)
      expect(await ann.post(`/rollouts/delay/${what}`, { reason: 'older page' }, revision)).toMatchObject(stale)
      expect((await auditOf())[0]).toMatchObject({ who: 'ann@laptop', what: `rollout.${what}`, reason: `to ${what}` })
    }
  })

  it('silences an alert, and ends the silence', async () => {
    const [alert] = await alertsNow()
    expect(alert).toMatchObject({ monitor: 'clock', state: 'firing', cause: 'The clock is wrong.' })
    const act = async (what: string, body: object, revision?: string) => await ann.post(`/alerts/${alert?.id}/${what}`, body, revision)
    const silence = { for: '2h', reason: 'known' }
    expect(await act('silence', silence)).toMatchObject({ status: 400, body: { error: { code: 'INVALID_REQUEST' } } })
    expect(await act('silence', silence, alert?.revision)).toMatchObject({ status: 200 })
    expect(await act('silence', { for: '1h', reason: 'older page' }, alert?.revision)).toMatchObject(stale)
    const silenced = (await alertsNow())[0]?.revision
    expect(await act('unsilence', { reason: 'mended' }, silenced)).toMatchObject({ status: 200 })
    expect(await act('unsilence', { reason: 'older page' }, silenced)).toMatchObject(stale)
    expect(await act('silence', { for: '31d', reason: 'known' }, (await alertsNow())[0]?.revision)).toMatchObject({ status: 400 })
    // the first page shows it without a silence, as it is again
    expect(await act('silence', { for: '1h', reason: 'oldest page' }, alert?.revision)).toMatchObject(stale)
    expect((await auditOf()).slice(0, 2).map(({ what, reason }) => [what, reason])).toEqual([
      ['alert.unsilence', 'mended'],
      ['alert.silence', 'known'],
    ])
  })

  it('creates and revokes a key by what the page of keys shows', async () => {
    const { revision } = (await ann.data('/keys')) as KeysData
    const asked = { name: 'batch', scopes: ['read'], reason: 'for the nightly batch' }
    expect(await ann.post('/keys', asked)).toMatchObject({ status: 400, body: { error: { code: 'INVALID_REQUEST' } } })
    const { id } = (await ann.post('/keys', asked, revision)).body.data as { id: string }
    // two who see the same list do not both create the key
    expect(await ann.post('/keys', asked, revision)).toMatchObject(stale)
    const seen = (await keyNow(id))?.revision
    expect(await ann.post(`/keys/${id}/revoke`, { reason: 'done' })).toMatchObject({ status: 400 })
    await rotateKey(world.db, id, { overlapMs: 3_600_000 })
    expect(await ann.post(`/keys/${id}/revoke`, { reason: 'older page' }, seen)).toMatchObject(stale)
    expect(await ann.post(`/keys/${id}/revoke`, { reason: 'done' }, (await keyNow(id))?.revision)).toMatchObject({ status: 200 })
    expect((await keyNow(id))?.revokedAt).not.toBeNull()
    expect(await ann.post(`/keys/none/revoke`, { reason: 'x' }, 'any')).toMatchObject({ status: 404 })
  })

  it('is refused without its scope, without a session, and where nothing may be changed', async () => {
    const made = await create(ann, { name: 'reader', scopes: ['ui:read'], reason: 'for Bob' })
    const { id, secret } = made.body.data as { id: string; secret: string }
    const bob = createVisitor(url)
    expect(await bob.login(world.db, { key: secret })).toMatchObject({ status: 201 })
    expect(await bob.post('/keys', { name: 'x', scopes: ['admin'], reason: 'x' })).toMatchObject({ status: 403 })
    expect(await bob.post('/models/delay/unpin', { reason: 'x' }, 'any')).toMatchObject({ status: 403 })
    expect(await bob.ask('/ui/api/keys')).toMatchObject({ status: 403 })
    expect(await createVisitor(url).post('/keys', { name: 'x', scopes: ['admin'], reason: 'x' })).toMatchObject({ status: 401 })
    expect(await ann.post(`/keys/${id}/revoke`, { reason: 'Bob left' }, (await keyNow(id))?.revision)).toMatchObject({ status: 200 })
    expect(await bob.ask('/ui/api/now')).toMatchObject({ status: 401 })
    expect((await listKeys(world.db)).map(({ name, revokedAt }) => [name, revokedAt === null])).toContainEqual(['reader', false])
    const config = { bodyLimitBytes: 1000, ui: { ...defaultUi, readOnly: true } }
    const readOnly = await world.serve({ config })
    await readOnly.server.whenReady()
    const reader = createVisitor(readOnly.url)
    await reader.login(world.db)
    expect(await reader.ask('/ui/api/session')).toMatchObject({ body: { data: { readOnly: true } } })
    for (const { path } of [...modelActs, ...operationActs, ...pipelineActs]) {
      const { status } = await reader.post(path.replaceAll(/:\w+/g, '1'), { reason: 'x' }, 'any')
      expect([path, status]).toEqual([path, 405])
    }
  })

  it('that creates a key needs a recent log-in, whatever the clock of the server', async () => {
    const realNow = Date.now
    const now = vi.spyOn(Date, 'now').mockImplementation(() => realNow() + 10 * 60_000)
    try {
      expect(await create(ann, { name: 'ahead', scopes: ['read'], reason: 'x' })).toMatchObject({ status: 200 })
    } finally {
      now.mockRestore()
    }
    await world.db.query(`update lockstep.ui_sessions set created_at = now() - interval '6 minutes'`, [])
    const late = await create(ann, { name: 'x', scopes: ['read'], reason: 'x' })
    expect(late).toMatchObject({ status: 403, body: { error: { code: 'FORBIDDEN', details: { login: 'again' } } } })
  })
})

describe('a long list', () => {
  const tables: Readonly<Record<string, string>> = { keys: 'api_keys', alerts: 'alerts' }

  it.each([
    [
      'keys',
      `insert into lockstep.api_keys (id, name, hash, scopes, created_at)
       select 'old' || i, 'old', sha256(i::text::bytea), '{read}', timestamptz '2001-01-01Z' + i * interval '1 day' from generate_series(1, 120) i`,
    ],
    [
      'alerts',
      `insert into lockstep.alerts (monitor, check_kind, subject, severity, state, started, resolved, resolution, notified, about, started_with, result)
       select 'old', 'clock', 's' || i, 'page', case when i % 2 = 0 then 'firing' else 'resolved' end, i, case when i % 2 = 0 then null else i + 1 end,
         case when i % 2 = 0 then null else 'cleared' end, false, '{}', '{}', '{}' from generate_series(1, 120) i`,
    ],
  ])('of %s has each line on one of its pages', async (list, fill) => {
    const count = async () =>
      Number((await world.db.query<{ n: string }>(`select count(*) as n from lockstep.${tables[list] ?? ''}`))[0]?.n)
    const before = await count()
    await world.db.query(fill, [])
    const seen: string[] = []
    for (let query = ''; ;) {
      const data = (await ann.data(`/${list}${query}`)) as Readonly<Record<string, { readonly id: string }[]>> & {
        readonly cursor: string | null
      }
      seen.push(...(data[list] ?? []).map(({ id }) => id))
      if (data.cursor === null) break
      query = `?cursor=${data.cursor}`
    }
    expect([seen.length, new Set(seen).size]).toEqual([before + 120, before + 120])
  })
})
