import { createHash } from 'node:crypto'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { deleteModelVersion } from '../../registry/models/delete-model-version.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import type { LoadReply, LoadRequest } from '../../registry/models/load-request.ts'
import { loadReplyNotice, parseLoadRequest } from '../../registry/models/load-request.ts'
import type { ModelContract } from '../../registry/models/model-contract.ts'
import { pushModel } from '../../registry/models/models.ts'
import { promoteModel } from '../../registry/models/promote.ts'
import { lockRegistry, registryChannel } from '../../registry/revision.ts'
import type { LiveCatalog } from '../../serving/models/live-catalog.ts'
import { createModelChanges } from '../../serving/models/model-changes.ts'
import { inspectModel } from '../../inference/inspect-model.ts'
import { budget } from '../budget.ts'
import { until } from './gate.ts'
import { constantModel } from '../inference/made-models.ts'
import { onnx } from './fixtures.ts'
import type { World } from './world.ts'
import { ask, createWorld } from './world.ts'

let world: World
let url: string

beforeAll(async () => {
  world = await createWorld('embedded')
  await world.db.script(`insert into lockstep_source.landings (airport, at, delay) values ('ATL', '2001-07-01T11:30:00Z', 0.5)`)
  await world.materialize('airport_delays')
  await world.push('delay', 'logistic')
  const served = await world.serve({ pollMs: 60_000 })
  await served.server.whenReady()
  url = served.url
})
afterAll(() => world?.close())

const predict = (version?: number | string) =>
  ask(url, '/v1/predict', { model: 'delay', entities: [{ airport: 'ATL', distance: 100 }], ...(version === undefined ? {} : { version }) })

async function send(method: string, path: string, body?: unknown): Promise<{ status: number; body: Record<string, unknown> }> {
  const init = body === undefined ? { method } : { method, body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
  const response = await fetch(`${url}/v1/models/delay${path}`, init)
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

describe('the champion over HTTP', () => {
  it('is promoted and rolled back, in force once it is answered, with a history', async () => {
    const version = await world.push('delay', 'mlp')
    await until(async () => (await predict()).body.version === version)
    const promoted = await send('POST', '/promote', { version: 1, reason: 'steady' })
    expect(promoted).toMatchObject({
      status: 200,
      body: { model: 'delay', alias: 'champion', from: 2, to: 1, changed: true, inForce: true },
    })
    expect((await predict()).body.version).toBe(1)
    expect((await send('PUT', '/aliases/challenger', { version: 2 })).body).toMatchObject({ alias: 'challenger', from: null, to: 2 })
    expect((await predict('challenger')).body.version).toBe(2)
    expect((await send('POST', '/promote', { version: 'challenger' })).body).toMatchObject({ from: 1, to: 2 })
    expect((await predict()).body.version).toBe(2)
    // the Open Inference Protocol tells versions as texts
    for (const version of ['1', 'v1']) expect((await predict(version)).body.version).toBe(1)
    const file = async (named: string, range?: string): Promise<Response> =>
      await fetch(`${url}/v1/models/delay/versions/${named}/file`, range === undefined ? {} : { headers: { range } })
    const complete = await file('challenger')
    expect(complete.headers.get('content-disposition')).toBe('attachment; filename="delay-2.onnx"')
    const bytes = Buffer.from(await complete.arrayBuffer())
    expect(bytes).toEqual(await onnx('mlp'))
    expect(complete.headers.get('etag')).toBe(`"${createHash('sha256').update(bytes).digest('hex')}"`)
    const part = await file('2', 'bytes=10-')
    expect([part.status, Buffer.from(await part.arrayBuffer())]).toEqual([206, bytes.subarray(10)])
    expect((await file('9')).status).toBe(404)
    const flip = async () =>
      await world.db.query('update lockstep.model_versions set bytes = set_byte(bytes, 9, 255 - get_byte(bytes, 9)) where version = 2')
    await flip()
    const refused = await file('2', 'bytes=10-')
    expect([refused.status, await refused.json()]).toMatchObject([500, { error: { code: 'CODE_HASH_MISMATCH' } }])
    await flip()
    expect((await send('POST', '/rollback')).body).toMatchObject({ from: 2, to: 1 })
    expect((await predict()).body.version).toBe(1)
    expect((await send('GET', '')).body).toMatchObject({ version: 1, aliases: { champion: 1, challenger: 2 } })
    expect((await send('GET', '/versions/challenger')).body).toMatchObject({
      version: 2,
      aliases: ['challenger'],
      lineage: { dataset: null, service: { id: 'flight@1' }, views: [{ id: 'airport_delays@1' }], sources: [{ name: 'landings' }] },
    })
    expect((await send('DELETE', '/aliases/champion?reason=over')).body).toMatchObject({ from: 1, to: null })
    expect((await predict()).body.version).toBe(2)
    const { body } = await send('GET', '/history?limit=2')
    expect(body['events']).toMatchObject([
      { action: 'remove', alias: 'champion', from: 1, to: null, reason: 'over' },
      { action: 'rollback', alias: 'champion', from: 2, to: 1, reason: null },
    ])
    const audited = await ask(url, '/v1/audit?what=model&limit=2')
    expect(audited.body).toMatchObject({
      records: [
        { actor: 'http', action: 'model.alias.remove', subject: 'delay', before: { version: 1 }, after: null, reason: 'over' },
        { actor: 'http', action: 'model.rollback', before: { version: 2 }, after: { version: 1 }, requestId: expect.any(String) as string },
      ],
      next: expect.any(Number) as number,
    })
    const { next } = audited.body as unknown as { readonly next: number }
    const older = await ask(url, `/v1/audit?what=delay&before=${next}&limit=1000`)
    expect(older.body).toMatchObject({
      records: expect.arrayContaining([expect.objectContaining({ action: 'model.alias' })]) as unknown,
      next: null,
    })
  })

  it('loses an alias once when the same DELETE is sent again', async () => {
    await send('PUT', '/aliases/once', { version: 1 })
    const remove = async (key: string) => {
      const response = await fetch(`${url}/v1/models/delay/aliases/once`, { method: 'DELETE', headers: { 'idempotency-key': key } })
      return { status: response.status, text: await response.text(), replayed: response.headers.get('idempotency-replayed') }
    }
    const first = await remove('remove-once')
    expect(first).toMatchObject({ status: 200, replayed: null })
    expect(await remove('remove-once')).toEqual({ ...first, replayed: 'true' })
    expect(await remove('another')).toMatchObject({ status: 404 })
  })

  it('answers nothing while the model is pinned, whatever is promoted, until it is unpinned', async () => {
    await send('POST', '/promote', { version: 1 })
    const pinned = await send('PUT', '/pin', { version: 2, reason: 'fire' })
    expect(pinned).toMatchObject({ status: 200, body: { model: 'delay', from: null, to: 2, serves: 2, changed: true, inForce: true } })
    expect((await predict()).body).toMatchObject({ version: 2, role: 'champion' })
    expect((await predict(1)).body).toMatchObject({ version: 1, role: 'requested' })
    expect((await send('POST', '/promote', { version: 2 })).body).toMatchObject({ from: 1, to: 2, pinned: 2, inForce: true })
    expect((await send('POST', '/rollback')).body).toMatchObject({ from: 2, to: 1, pinned: 2, inForce: true })
    expect((await predict()).body).toMatchObject({ version: 2 })
    expect((await send('GET', '')).body).toMatchObject({ version: 2, pinned: 2, aliases: { champion: 1 } })
    expect((await send('PUT', '/pin', { version: 2 })).body).toMatchObject({ changed: false, to: 2 })
    await expect(deleteModelVersion(world.db, 'delay', 2, { actor: 'test' })).rejects.toMatchObject({ code: 'IN_USE' })
    expect((await send('DELETE', '/pin?reason=over')).body).toMatchObject({ from: 2, to: null, serves: 1, inForce: true })
    expect((await predict()).body).toMatchObject({ version: 1, role: 'champion' })
    const again = await send('DELETE', '/pin')
    expect(again).toMatchObject({
      status: 409,
      body: { error: { code: 'NOT_PROMOTABLE', message: expect.stringContaining('not pinned') as string } },
    })
    expect(await send('PUT', '/pin', { version: 99 })).toMatchObject({ status: 404 })
    expect((await send('GET', '/history?limit=1')).body['events']).toMatchObject([{ action: 'unpin', from: 2, to: null, reason: 'over' }])
    const records = [
      { action: 'model.unpin', subject: 'delay@2', before: { version: 2 }, after: null, reason: 'over' },
      { action: 'model.pin', subject: 'delay@2', before: null, after: { version: 2 }, reason: 'fire' },
    ]
    const audited = (await ask(url, '/v1/audit?what=delay&limit=4')).body as unknown as { records: { action: string }[] }
    expect(audited.records.filter(({ action }) => action.endsWith('pin'))).toMatchObject(records)
    await send('DELETE', '/aliases/champion')
  })

  it('is not promoted with features other than it was trained on, unless forced', async () => {
    await world.db.query(
      `insert into lockstep.datasets (id, service, fingerprint, path, manifest) values ('set-one', 'flight@1', 'other', '/one', '{}')`,
    )
    const bytes = constantModel(0.125)
    const push = { model: 'delay', bytes, contract: await inspectModel(bytes), dataset: 'set-one', datasetMismatch: true }
    const { version } = (await pushModel(world.db, push)).version
    const error = { code: 'DATASET_MISMATCH', message: expect.stringContaining('"datasetMismatch": true') as string }
    expect(await send('POST', '/promote', { version })).toMatchObject({ status: 409, body: { error } })
    expect(await send('PUT', '/aliases/shadow', { version })).toMatchObject({ status: 409, body: { error } })
    expect((await send('PUT', '/aliases/shadow', { version, datasetMismatch: true })).body).toMatchObject({ to: version })
  })

  it('is refused with the status that fits', async () => {
    for (const reason of ['a\0b', '\ud800'])
      expect(await send('POST', '/promote', { version: 1, reason })).toMatchObject({
        status: 400,
        body: { error: { code: 'INVALID_REQUEST' } },
      })
    const codes = await Promise.all([
      send('POST', '/promote', { version: 99 }),
      send('POST', '/promote', { version: 'none' }),
      send('POST', '/promote', {}),
      send('POST', '/rollback', {}),
      send('PUT', '/aliases/No', { version: 1 }),
      send('PUT', '/aliases/v3', { version: 1 }),
      send('DELETE', '/aliases/champion'),
      send('GET', '/history?limit=0'),
      send('GET', '/versions/0'),
    ])
    expect(codes.map(({ status }) => status)).toEqual([404, 404, 400, 404, 400, 400, 404, 400, 404])
    expect(codes[2]?.body).toMatchObject({
      error: {
        message: expect.stringContaining('"version" is missing; it must be the number of a version (3, "3" or "v3") or an alias') as string,
      },
    })
    const wrong = await fetch(`${url}/v1/models/delay/promote`)
    expect([wrong.status, await wrong.json()]).toMatchObject([
      405,
      { error: { message: '"/v1/models/delay/promote" accepts POST, not GET.' } },
    ])
    for (const { body } of codes)
      expect(body).toMatchObject({ error: { code: expect.any(String) as string, message: expect.any(String) as string } })
  })
})

describe('a change that the server cannot load', () => {
  it('is made, and reported as not in effect', async () => {
    const catalog: LiveCatalog = {
      current: () => expect.unreachable(),
      loaded: null,
      failure: 'it takes long',
      refresh: async () => undefined,
      distrust: () => undefined,
    }
    const changes = createModelChanges(() => world.db, catalog, { answering: () => expect.unreachable() })
    expect(await changes.promote('delay', 1, 'later', { actor: 'test' })).toMatchObject({ alias: 'later', to: 1, inForce: false })
    expect(await changes.history('delay', 1)).toMatchObject([{ alias: 'later', to: 1 }])
  })
})

describe('a promotion that servers are loading the version for', () => {
  it('is not made if the client has disconnected, or its deadline has passed', async () => {
    const asked: LoadRequest[] = []
    const say = (state: LoadReply['state']) =>
      world.db.query('select pg_notify($1, $2)', [asked.at(-1)?.replyTo, loadReplyNotice({ server: 'slow', state, message: '' })])
    const stop = await world.db.listen(registryChannel, (notice) => {
      const request = parseLoadRequest(notice ?? '')
      if (request === null) return
      asked.push(request)
      void say('loading')
    })
    await until(async () => (await world.db.listeners(registryChannel)) === 2)
    const path = `${url}/v1/models/delay/aliases/slow`
    const init = { method: 'PUT', body: '{"version":1}', headers: { 'content-type': 'application/json' } }
    const gone = new AbortController()
    const leaving = fetch(path, { ...init, signal: gone.signal })
    await until(async () => asked.length === 1)
    gone.abort()
    await expect(leaving).rejects.toThrow('aborted')
    const late = await fetch(path, { ...init, headers: { ...init.headers, 'x-request-timeout-ms': '6000' } })
    expect([late.status, asked.length]).toEqual([504, 2])
    const { revision, aliases } = await loadCatalog(world.db).then((catalog) => ({ ...catalog, aliases: catalog.model('delay').aliases }))
    expect([aliases.has('slow'), asked.at(-1)]).toMatchObject([false, { model: 'delay', version: 1, revision }])
    // what waits is answered, and waits no more
    await say('loaded')
    await setTimeout(300)
    expect((await loadCatalog(world.db)).model('delay').aliases.has('slow')).toBe(false)
    const made = fetch(path, init)
    await until(async () => asked.length === 3)
    await say('loaded')
    expect([(await made).status, await (await made).json()]).toMatchObject([200, { to: 1, servers: { asked: 2, loaded: 2 } }])
    await stop()
  })
})

const waitingForLocks = `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`

it('a change that missed its deadline is not made later', async () => {
  for (const version of [1, 2]) expect((await send('PUT', '/aliases/undone', { version, atOnce: true })).status).toBe(200)
  const headers = { 'content-type': 'application/json', 'x-request-timeout-ms': '6000' }
  const late = (method: string, path: string, body: object) =>
    fetch(`${url}/v1/models/delay${path}`, { method, headers, ...(method === 'DELETE' ? {} : { body: JSON.stringify(body) }) })
  const answers = await world.db.kysely.transaction().execute(async (transaction) => {
    await lockRegistry(transaction)
    const asked = [
      late('POST', '/rollback', { alias: 'undone' }),
      late('PUT', '/aliases/undone', { version: 1, atOnce: true }),
      late('DELETE', '/aliases/undone', {}),
    ]
    await until(async () => (await world.db.query(waitingForLocks)).length === asked.length)
    return await Promise.all(asked)
  })
  expect(answers.map(({ status }) => status)).toEqual([504, 504, 504])
  // each has had its turn once another has
  expect((await send('PUT', '/aliases/after', { version: 1, atOnce: true })).status).toBe(200)
  const model = (await loadCatalog(world.db)).model('delay')
  expect(model.aliases.get('undone')).toMatchObject({ version: 2, former: [1] })
  const { events } = (await send('GET', '/history?limit=2')).body as { events: readonly unknown[] }
  expect(events).toMatchObject([
    { alias: 'after', to: 1 },
    { alias: 'undone', to: 2 },
  ])
})

describe('versions that change under load', () => {
  it('fail no request, and never answer with a version replaced before it began', async () => {
    const contract: ModelContract = await inspectModel(constantModel(0))
    const files = budget(100)
    const failed: string[] = []
    /** The answers of each version. */
    const said = new Map<number, Set<unknown>>()
    /** The version that answered; null where the request failed. */
    const answering = async (): Promise<number | null> => {
      const { status, body, text } = await predict()
      if (status !== 200) {
        failed.push(`${status} ${text}`)
        return null
      }
      said.set(body.version, (said.get(body.version) ?? new Set()).add(body.predictions[0]?.['probabilities']))
      return body.version
    }
    const answered: { from: number; to: number; version: number }[] = []
    let over = false
    const client = async () => {
      while (!over) {
        const from = performance.now()
        const version = await answering()
        if (version !== null) answered.push({ from, to: performance.now(), version })
      }
    }
    const clients = Promise.all([client(), client()])

    /** Versions, of which the first says 1, the second 2, and so on. */
    const pushed: number[] = []
    /** The answering versions: each from the moment at which its change began, until the next one was in force. */
    const turns: { version: number; begun: number; inForce: number }[] = []
    const turn = async (change: () => Promise<number>): Promise<void> => {
      const begun = performance.now()
      const version = await change()
      turns.push({ version, begun, inForce: performance.now() })
    }
    try {
      const first = (await predict()).body.version
      turns.push({ version: first, begun: 0, inForce: 0 })
      const taken = async (version: number): Promise<number> => {
        while ((await answering()) !== version) continue
        return version
      }
      // new files, each served at once while there is no champion
      for (let i = 1; i <= files; i++) {
        await turn(async () => {
          const { version } = (await pushModel(world.db, { model: 'delay', bytes: constantModel(i), contract })).version
          pushed.push(version)
          return await taken(version)
        })
      }
      // then champions that another process sets, of which the database notifies the server
      for (let i = 0; i < budget(94); i++) {
        await turn(async () => {
          const version = pushed[i % pushed.length] ?? 0
          await promoteModel(world.db, 'delay', version, { actor: 'test' })
          return await taken(version)
        })
      }
      for (let i = 0; i < 20; i++) {
        await turn(async () => {
          const { status, body } =
            i % 4 === 3 ? await send('POST', '/rollback', {}) : await send('POST', '/promote', { version: pushed[i % pushed.length] })
          expect(status).toBe(200)
          return Number(body['to'])
        })
      }
    } finally {
      over = true
      await clients
    }

    expect(failed).toEqual([])
    expect(answered.length).toBeGreaterThan(100)
    const wrong = answered.filter(
      ({ from, to, version }) =>
        !turns.some(
          (each, i) => each.version === version && each.begun <= to && from <= (turns[i + 1]?.inForce ?? Number.POSITIVE_INFINITY),
        ),
    )
    expect(wrong).toEqual([])
    // a version says the same always, whatever was under way
    expect([...said.values()].every((values) => values.size === 1)).toBe(true)
    // and that which its file says and no other does
    expect(new Set(pushed).size).toBe(files)
    pushed.forEach((version, i) => expect([version, ...(said.get(version) ?? [])]).toEqual([version, i + 1]))
  })
})

it('the file of a version that is sent is for its owner alone, and is deleted once its client disconnects', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-sent-'))
  vi.stubEnv('TMPDIR', folder)
  onTestFinished(async () => {
    vi.unstubAllEnvs()
    await rm(folder, { recursive: true, force: true })
  })
  // more than the buffers of a connection take; field 2 of ONNX's ModelProto names a producer
  const producer = Buffer.alloc(32 << 20, 'x')
  const version = await world.push('delay', Buffer.concat([await onnx('mlp'), Buffer.of(0x12, 0x80, 0x80, 0x80, 0x10), producer]))
  const client = new AbortController()
  const asked = async () => await fetch(`${url}/v1/models/delay/versions/${version}/file`, { signal: client.signal })
  await until(async () => (await fetch(`${url}/v1/models/delay/versions/${version}`)).status === 200)
  expect((await asked()).status).toBe(200)
  const [name = ''] = await readdir(folder)
  expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600)
  client.abort()
  await until(async () => (await readdir(folder)).length === 0)
})
