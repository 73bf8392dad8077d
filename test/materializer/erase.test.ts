import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { stateHead, readHeader } from '../../kernel/states/stored-state.ts'
import { encodeKey } from '../../kernel/values/entity-key.ts'
import { eraseEntity } from '../../materializer/erase/erase-entity.ts'
import { forgetErased } from '../../materializer/erase/forget-erased.ts'
import { finishErasures, pendingErasures } from '../../materializer/erase/finish-erasures.ts'
import { detectFailover } from '../../materializer/runs/detect-failover.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { createRedisStore } from '../../online/redis-store.ts'
import type { OnlineStore } from '../../online/store.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { loadDefinitions } from '../../registry/load/load-definitions.ts'
import { erasedNotice, registryChannel } from '../../registry/revision.ts'
import { readAudit } from '../../runtime/audit.ts'
import { definitionFiles } from '../registry/definition-files.ts'
import { testRedis } from '../services/index.ts'
import { materializerFixture, heldRun, moment, storeKinds } from './fixture.ts'

const files = definitionFiles({
  'orders.ts': `
  import { count, entity, featureView, last, source, sum, t } from 'lockstep'
  const account = entity('account', { key: { account: t.string } })
  const merchant = entity('merchant', { key: { merchant: t.int64 } })
  const both = entity('pair', { key: { account: t.string, merchant: t.int64 } })
  const world = entity('world', { key: {} })
  const key = { account: 'account', merchant: 'shop' }
  const orders = source('orders', { key, eventTime: 'at', columns: { amount: t.float64 } })
  const features = { last: last('amount'), rows: count('2h'), total: sum('amount', '2h') }
  export const ofAccount = featureView('of_account', { version: 1, entity: account, source: orders, online: true, features })
  export const ofAccount2 = featureView('of_account', { version: 2, entity: account, source: orders, online: true, features: { rows: count('1h') } })
  export const ofMerchant = featureView('of_merchant', { version: 1, entity: merchant, source: orders, online: true, features })
  export const ofBoth = featureView('of_pair', { version: 1, entity: both, source: orders, online: true, features })
  export const ofNobody = featureView('of_nobody', { version: 1, entity: account, source: orders, online: false, features })
  export const ofWorld = featureView('of_world', { version: 1, entity: world, source: orders, online: true, features })
  `,
})

const fixture = materializerFixture()
let catalog: Catalog
const plans = (): ViewPlan[] => [...catalog.views.values()].filter(({ id }) => catalog.online.has(id))
const view = (id: string): ViewPlan => catalog.view(id)

beforeAll(async () => {
  const { db } = fixture().open('redis')
  await applyChanges(db, await loadDefinitions(`${files}/orders.ts`))
  catalog = await loadCatalog(db)
})

async function insert(rows: readonly (readonly [string, number, number])[]): Promise<void> {
  const { db } = fixture().open('redis')
  const values = rows.map(
    ([account, shop, i]) => `('${account}', ${shop}, timestamptz '2001-05-20T00:00:00Z' + ${i} * interval '1 minute', ${i / 4})`,
  )
  await db.query(`insert into lockstep_source.orders (account, shop, at, amount) values ${values.join(', ')}`)
}

/** The states of a view by key, without the frontier. */
async function bodies(store: OnlineStore, plan: ViewPlan): Promise<Map<string, string>> {
  const names = ['a', 'b', 'c', 'd'].flatMap((account) => [1, 2, 3].map((shop) => [account, BigInt(shop)] as const))
  const parts = (account: string, shop: bigint) => plan.key.map(({ name }) => (name === 'account' ? account : shop))
  const keys = [...new Set(names.map(([account, shop]) => encodeKey(plan.key, parts(account, shop))))]
  const stored = await store.read(keys.map((key) => ({ view: plan.id, entity: plan.spec.entity.name, key })))
  return new Map(
    keys.flatMap((key, i) => {
      const bytes = stored[i]
      return bytes ? [[key, bytes.toString('hex', readHeader(bytes, plan.id).bodyAt - 8)] as const] : []
    }),
  )
}

let fresh: OnlineStore[] = []
afterAll(() => Promise.all(fresh.map((store) => store.close())))

/** Every view holds what a store has that is filled from nothing. */
async function expectRebuilt(store: OnlineStore): Promise<void> {
  const { db } = fixture().open('redis')
  const { url, prefix } = await testRedis()
  const empty = createRedisStore({ redis: new Redis(url), prefix })
  fresh = [...fresh, empty]
  for (const plan of plans()) {
    await materializeView(db, empty, plan, { moment })
    expect([plan.id, await bodies(store, plan)]).toEqual([plan.id, await bodies(empty, plan)])
  }
}

const account = () => view('of_account').spec.entity
const now = new Date(1_700_000_000_000)
const erase = (name: string) => eraseEntity(fixture().open('redis').db, catalog, account(), [name], now, { actor: 'ann@here' })
const finish = (store: OnlineStore, waitMs = 60_000) => finishErasures(fixture().open('redis').db, store, catalog, { waitMs, moment })

describe('the receipt of an erasure', () => {
  it('lists training sets by id, and which file was overwritten', async () => {
    const { db } = fixture().open('redis')
    const manifest = JSON.stringify({ views: [{ id: 'of_account@1' }], file: { rows: 5 }, otherFiles: [] })
    const set = (id: string, at: string) => ({
      id,
      service: 's@1',
      fingerprint: 'f',
      path: '/sets/a.csv',
      manifest,
      created_at: new Date(at),
    })
    await db.kysely
      .insertInto('lockstep.datasets')
      .values([set('first', '2001-01-01'), set('second', '2001-01-02')])
      .execute()
    const { parts } = await erase('nobody')
    await db.kysely.deleteFrom('lockstep.datasets').execute()
    expect(parts.filter(({ kind }) => kind === 'dataset')).toEqual([
      expect.objectContaining({
        id: 'first',
        where: '/sets/a.csv',
        note: expect.stringContaining('overwrote it under the same path') as string,
      }),
      expect.objectContaining({ id: 'second', where: '/sets/a.csv', note: expect.stringContaining('check the file') as string }),
    ])
  })
})

describe('dead letters of an entity', () => {
  const letters = async () =>
    (await fixture().open('redis').db.query<{ message: string }>('select message from lockstep.stream_dead_letters order by message')).map(
      ({ message }) => message,
    )

  async function keep(messages: Readonly<Record<string, string | Buffer>>): Promise<void> {
    for (const [message, body] of Object.entries(messages)) {
      await fixture()
        .open('redis')
        .db.query(
          `insert into lockstep.stream_dead_letters (source, stream, message, body, size_bytes, reason, error) values ('orders', 's', $1, $2, $3, 'r', 'e')`,
          [message, Buffer.from(body), Buffer.byteLength(body)],
        )
    }
  }

  it.each(['q"1', 'back\\1', 'tab\t1', 'user:17|é', 'a\\nb', '\\u0041', '😀'])(
    'are found by the key %j in any spelling of JSON',
    async (key) => {
      const json = JSON.stringify({ account: key, at: 'bad' })
      const ascii = json.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      const all = Array.from({ length: key.length }, (_, i) => `\\u${key.charCodeAt(i).toString(16).toUpperCase().padStart(4, '0')}`)
      await keep({
        raw: key,
        json,
        ascii,
        'every unit': `{"account":"${all.join('')}"}`,
        nested: JSON.stringify({ data: ascii }),
        'not valid': ascii.slice(0, -1),
        other: JSON.stringify({ account: `${key.slice(0, -1)}_` }),
      })
      const { parts } = await erase(key)
      expect(await letters()).toEqual(['other'])
      expect(parts).toContainEqual(expect.objectContaining({ where: 'lockstep.stream_dead_letters', count: 6 }))
      await fixture().open('redis').db.query('delete from lockstep.stream_dead_letters')
    },
  )

  it('are deleted if they are not text, and found by a number with an exponent', async () => {
    const { db } = fixture().open('redis')
    await keep({
      avro: Buffer.from([0, 0, 0, 0, 1, 34]),
      latin1: Buffer.from([0x7b, 0xe9]),
      exponent: '{"shop":1.7e1}',
      other: '{"shop":18}',
    })
    await eraseEntity(db, catalog, view('of_merchant').spec.entity, [17n], now)
    expect(await letters()).toEqual(['other'])
    await db.query('delete from lockstep.stream_dead_letters')
  })
})

describe.each(storeKinds)('erasing an entity, its states in a store of kind %s', (kind) => {
  beforeAll(async () => {
    await fixture().open(kind).db.query('truncate lockstep_source.orders')
  })

  it('removes its rows and states, and rebuilds the states of others without them', async () => {
    const { db, store } = fixture().open(kind)
    await insert([...Array(40).keys()].map((i) => [['a', 'b', 'c'][i % 3] ?? '', ((i % 7) % 3) + 1, i]))
    for (const plan of plans()) await materializeView(db, store, plan, { moment })
    expect((await bodies(store, view('of_account@1'))).size).toBe(3)
    await db.query(
      `insert into lockstep.stream_dead_letters (source, stream, message, body, size_bytes, reason, error)
       values ('orders', 's', '${kind} 1', '{"account":"a"}', 15, 'r', 'e'), ('orders', 's', '${kind} 2', '{"ccount":"b"}', 14, 'r', 'e'), ('orders', 's', '${kind} 3', '{"x":"b"}', 9, 'r', 'e')`,
    )
    const pipeline = `p_${kind}`
    await db.query(
      `insert into lockstep.definitions (kind, name, version, fingerprint, spec, operational) values ('pipeline', $1, 0, 'f', '{"source": "orders"}', '{}')`,
      [pipeline],
    )
    await db.query(
      `insert into lockstep.pipeline_answers (pipeline, generation, id, answer) values ($1, 0, '1', '{"key":{"account":"a"}}'), ($1, 0, '2', '{"key":{"account":"b"}}')`,
      [pipeline],
    )
    const receipt = await erase('a')
    await db.query(`delete from lockstep.definitions where kind = 'pipeline'`)
    expect(await db.query('select id from lockstep.pipeline_answers where pipeline = $1', [pipeline])).toEqual([{ id: '2' }])
    expect(receipt.keyHash).toMatch(/^[0-9a-f]{64}$/)
    expect(receipt.parts).toEqual(
      expect.arrayContaining([
        { what: 'removed', kind: 'rows', where: 'lockstep_source."orders"', count: 14 },
        expect.objectContaining({ what: 'removed', kind: 'states', where: 'of_account@1', count: 1 }),
        expect.objectContaining({ what: 'removed', where: 'lockstep.stream_dead_letters', count: 1 }),
        expect.objectContaining({ what: 'removed', where: 'lockstep.pipeline_answers', count: 1 }),
        expect.objectContaining({ what: 'renewed', where: 'of_merchant@1', count: 3 }),
        expect.objectContaining({ what: 'renewed', where: 'of_world@1', count: 1 }),
      ]),
    )
    expect(receipt.parts.map(({ where }) => where)).not.toContain('of_nobody@1')
    expect(await finish(store)).toBe(0)
    expect([...(await bodies(store, view('of_account@1'))).keys()]).toEqual(['b\0', 'c\0'])
    expect(await db.query('select from lockstep_source.orders where account = $1', ['a'])).toEqual([])
    // for as long as a failover may undo it
    const noted = async () => (await db.query('select from lockstep.erasure_states where erasure = $1', [receipt.id])).length
    expect(await noted()).toBe(kind === 'redis' ? 10 : 0)
    // a clock that is ahead forgets nothing
    await forgetErased(db, store, { nowMs: Date.now() + 3_600_000 })
    const laterBy = (seconds: number) =>
      db.query(`update lockstep.erasure_states set done_at = done_at - interval '${seconds} s' where erasure = $1`, [receipt.id])
    await laterBy(3500)
    await forgetErased(db, store, { nowMs: Date.now() })
    expect(await noted()).toBe(kind === 'redis' ? 10 : 0)
    await laterBy(100)
    await forgetErased(db, store, { nowMs: Date.now() })
    expect(await noted()).toBe(0)
    const kept = await db.query('select e.entity, e.key_hash, e.receipt::text from lockstep.erasures e')
    expect(JSON.stringify(kept)).not.toMatch(/"a"/)
    const [audited] = await readAudit(db, { what: 'erase', limit: 1 })
    expect(audited).toMatchObject({ actor: 'ann@here', subject: 'account', after: { receipt: receipt.id, keyHash: receipt.keyHash } })
    expect(JSON.stringify(audited)).not.toMatch(/"a"/)
    await expectRebuilt(store)
  })

  it('is not undone by a run that had read the rows before', async () => {
    const { db, store } = fixture().open(kind)
    await insert([
      ['d', 1, 1],
      ['d', 2, 2],
      ['b', 1, 3],
    ])
    const held = await heldRun(db, store, view('of_account@1'))
    await erase('d')
    expect(await finish(store, 0)).toBe(1)
    // meanwhile the key is there, and its state is empty
    const before = await bodies(store, view('of_account@1'))
    held.open()
    await held.run
    expect((await bodies(store, view('of_account@1'))).get('d\0')).toBe(before.get('d\0'))
    for (const plan of plans()) await materializeView(db, store, plan, { moment })
    expect(await finish(store)).toBe(0)
    expect((await bodies(store, view('of_account@1'))).has('d\0')).toBe(false)
    await expectRebuilt(store)
  })

  it('keeps rows that arrive after it', async () => {
    const { db, store } = fixture().open(kind)
    await insert([['d', 3, 5]])
    for (const plan of plans()) await materializeView(db, store, plan, { moment })
    await erase('d')
    await insert([['d', 3, 6]])
    for (const plan of plans()) await materializeView(db, store, plan, { moment })
    expect(await finish(store)).toBe(0)
    expect((await bodies(store, view('of_account@1'))).has('d\0')).toBe(true)
    await expectRebuilt(store)
  })

  it('notifies servers at its start and end, and they clear their memory', async () => {
    const { db, store } = fixture().open(kind)
    const notices: (string | null)[] = []
    const stop = await db.listen(registryChannel, (said) => notices.push(said))
    await vi.waitFor(() => expect(notices).toEqual([null]), 60_000) // it has begun to listen
    await insert([['d', 1, 40]])
    await erase('d')
    await vi.waitFor(() => expect(notices).toEqual([null, erasedNotice]), 60_000)
    expect(await finish(store)).toBe(0)
    await vi.waitFor(() => expect(notices).toEqual([null, erasedNotice, erasedNotice]), 60_000)
    await stop()
  })

  it('keeps what a store filled from nothing holds, also during other writes', async () => {
    const { db, store } = fixture().open(kind)
    const until = performance.now() + 2_000
    let i = 0
    const again = async (work: () => Promise<unknown>): Promise<void> => {
      while (performance.now() < until) await work()
    }
    const name = (): string => ['a', 'b', 'c', 'd'][i++ % 4] ?? ''
    await Promise.all([
      again(() =>
        insert([
          [name(), (i % 3) + 1, i],
          [name(), ((i * 7) % 3) + 1, i + 1],
        ]),
      ),
      ...plans().map((plan) => again(() => materializeView(db, store, plan, { moment }))),
      again(() => materializeView(db, store, view('of_merchant'), { moment })),
      again(async () => {
        await erase(name())
        await finish(store, 100)
      }),
      again(() => finish(store, 0)),
    ])
    for (const plan of plans()) await materializeView(db, store, plan, { moment })
    expect(await finish(store)).toBe(0)
    // on a slow machine, an erasure may have left no rows of one
    const merchants = await db.query('select distinct shop from lockstep_source.orders')
    expect((await bodies(store, view('of_merchant'))).size).toBe(merchants.length)
    await expectRebuilt(store)
  })
})

describe('a failover to a replica that lacks an erasure', () => {
  beforeAll(async () => {
    await fixture().open('redis').db.query('truncate lockstep_source.orders')
  })

  const rows = [...Array(30).keys()].map((i) => [['a', 'b', 'c'][i % 3] ?? '', (i % 2) + 1, i] as const)
  const online = (plan: ViewPlan) =>
    ['a', 'b', 'c'].flatMap((name) =>
      [1n, 2n].map((shop) => {
        const parts = plan.key.map((column) => (column.name === 'account' ? name : shop))
        return { view: plan.id, entity: plan.spec.entity.name, key: encodeKey(plan.key, parts) }
      }),
    )
  const withBytes = async (store: OnlineStore) => {
    const keys = [
      ...new Map(
        plans()
          .flatMap(online)
          .map((key) => [`${key.view} ${key.key}`, key]),
      ).values(),
    ]
    const stored = await store.read(keys)
    return keys.map((key, i) => ({ ...key, bytes: stored[i] ?? null }))
  }
  /** Every state as it was then. */
  const revive = async (store: OnlineStore, then: Awaited<ReturnType<typeof withBytes>>) => {
    const present = await withBytes(store)
    const writes = then.flatMap(({ bytes, ...key }, i) => {
      const now = present[i]?.bytes ?? null
      return bytes === null ? [] : [{ ...key, bytes, expected: now === null ? null : stateHead(now, readHeader(now, '')) }]
    })
    expect(await store.write(writes)).toEqual(writes.map(() => true))
  }
  const failedOver = (store: OnlineStore, to: string) =>
    detectFailover(fixture().open('redis').db, { ...store, primaries: () => Promise.resolve([to]) }, { nowMs: Date.now() })

  it('restores no erased rows: they are erased again', async () => {
    const { db, store } = fixture().open('redis')
    await insert(rows)
    for (const plan of plans()) await materializeView(db, store, plan, { moment, rebuild: true })
    const before = await withBytes(store)
    await erase('a')
    expect(await finish(store)).toBe(0)
    await revive(store, before)
    expect((await bodies(store, view('of_account@1'))).has('a\0')).toBe(true)
    await failedOver(store, 'replica')
    expect(await pendingErasures(db)).toBeGreaterThan(0)
    for (const plan of plans()) await materializeView(db, { ...store, primaries: () => Promise.resolve(['replica']) }, plan, { moment })
    expect(await finish(store)).toBe(0)
    expect((await bodies(store, view('of_account@1'))).has('a\0')).toBe(false)
    await expectRebuilt(store)
  })

  it('is seen by an erasure that was at work on the primary from before', async () => {
    const { db, store } = fixture().open('redis')
    for (const plan of plans()) await materializeView(db, store, plan, { moment })
    const before = await withBytes(store)
    await erase('b')
    let writes = 0
    const overtaken: OnlineStore = {
      ...store,
      async write(entries) {
        const outcome = await store.write(entries)
        // the first states are rebuilt, and then lost
        if (writes++ === 0) {
          await revive(store, before)
          await failedOver(store, 'another replica')
        }
        return outcome
      },
    }
    await finish(overtaken)
    for (const plan of plans())
      await materializeView(db, { ...store, primaries: () => Promise.resolve(['another replica']) }, plan, { moment })
    expect(await finish(store)).toBe(0)
    expect((await bodies(store, view('of_account@1'))).has('b\0')).toBe(false)
    await expectRebuilt(store)
  })
})
