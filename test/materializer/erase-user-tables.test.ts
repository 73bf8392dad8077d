import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { decodeKey, encodeKey } from '../../kernel/values/entity-key.ts'
import { eraseEntity } from '../../materializer/erase/erase-entity.ts'
import { finishErasures, pendingErasures } from '../../materializer/erase/finish-erasures.ts'
import { reopenErasures } from '../../materializer/erase/reopen-erasures.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import type { OnlineStore } from '../../online/store.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { load } from '../registry/definition-files.ts'
import { heldRun, materializerFixture, moment, storeKinds } from './fixture.ts'

const definitions = `
  import { count, entity, featureView, source, sum, t } from 'lockstep'
  const customer = entity('customer', { key: { customer: t.int64 } })
  const shop = entity('shop', { key: { shop: t.string } })
  const pair = entity('pair', { key: { shop: t.string, customer: t.int64 } })
  const guest = entity('guest', { key: { customer: t.string, shop: t.string } })
  const key = { customer: 'customer', shop: 'shop' }
  const visits = source('visits', { table: 'visits', key, eventTime: 'at', columns: { paid: t.float64 } })
  const all = source('all_visits', { sql: 'SELECT customer::text AS customer, shop, at, paid FROM visits', key, eventTime: 'at', columns: { paid: t.float64 } })
  const features = { rows: count('30d'), total: sum('paid', 'lifetime') }
  export const ofCustomer = featureView('of_customer', { version: 1, entity: customer, source: visits, online: true, features })
  export const ofShop = featureView('of_shop', { version: 1, entity: shop, source: visits, online: true, features })
  export const ofPair = featureView('of_pair', { version: 1, entity: pair, source: visits, online: true, features })
  export const ofGuest = featureView('of_guest', { version: 1, entity: guest, source: all, online: true, features })
`

const fixture = materializerFixture()
let catalog: Catalog
const customer = 102
const shops = [...Array(40).keys()].map((i) => `Zürich ${i}`)

beforeAll(async () => {
  const { db } = fixture().open('redis')
  await db.script(`CREATE TABLE visits (customer bigint, shop text, at timestamptz NOT NULL, paid float8,
    _xid xid8 NOT NULL DEFAULT pg_current_xact_id())`)
  await applyChanges(db, await load({ 'features.ts': definitions }))
  catalog = await loadCatalog(db)
})

describe.each(storeKinds)('erasing an entity of a user table, its states in a store of kind %s', (kind) => {
  const use = () => fixture().open(kind)
  const finish = (store: OnlineStore = use().store, waitMs = 60_000) => finishErasures(use().db, store, catalog, { waitMs, moment })
  const erase = async () => {
    const { parts } = await eraseEntity(use().db, catalog, catalog.view('of_customer').spec.entity, [BigInt(customer)], new Date())
    return parts
  }
  const deleteRows = () => use().db.query('DELETE FROM visits WHERE customer = $1', [customer])
  const materialize = async () => {
    for (const plan of catalog.views.values()) await materializeView(use().db, use().store, plan, { moment })
  }

  /** The stored keys of a view, in the order of their parts. */
  async function keysOf(view: string): Promise<unknown[][]> {
    const plan = catalog.view(view)
    const keys = new Set<string>()
    for await (const group of use().store.keys(plan.id, plan.spec.entity.name)) for (const key of group) keys.add(key)
    return [...keys].sort().map((key) => decodeKey(plan.key, key))
  }

  const customersOf = async (view: string, part: number) =>
    [...new Set((await keysOf(view)).map((parts) => Number(parts[part])))].sort((a, b) => a - b)

  beforeEach(async () => {
    const { db, store } = use()
    await db.query('TRUNCATE visits')
    await db.query(
      `INSERT INTO visits (customer, shop, at, paid) SELECT c, s, '2001-05-20T00:00:00Z', 1.5 FROM unnest($1::bigint[]) c, unnest($2::text[]) s`,
      [[10, customer, 1020], shops],
    )
    for (const plan of catalog.views.values()) await materializeView(db, store, plan, { moment, rebuild: true })
  })

  it('removes the states whose keys contain its key, and no others', async () => {
    expect(await keysOf('of_pair')).toHaveLength(3 * shops.length)
    await deleteRows()
    const parts = await erase()
    expect(parts).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ what: 'removed', kind: 'states', where: 'of_customer@1', count: 1 }),
        expect.objectContaining({ what: 'removed', kind: 'states', where: 'of_pair@1', count: null }),
        expect.objectContaining({ what: 'removed', kind: 'states', where: 'of_guest@1', count: null }),
        expect.objectContaining({
          what: 'kept',
          kind: 'states',
          where: 'of_shop@1',
          note: expect.stringContaining('"lockstep materialize of_shop@1 --rebuild"') as string,
        }),
      ]),
    )
    expect(parts.filter(({ what, kind: each }) => what === 'kept' && each === 'rows')).toEqual([])
    expect(await finish()).toBe(0)
    await materialize()
    expect(await customersOf('of_customer', 0)).toEqual([10, 1020])
    expect(await customersOf('of_pair', 1)).toEqual([10, 1020])
    expect(await customersOf('of_guest', 0)).toEqual([10, 1020])
    expect(await keysOf('of_pair')).toHaveLength(2 * shops.length)
    expect(await keysOf('of_shop')).toHaveLength(shops.length)
  })

  it('names the views whose states the remaining rows bring back', async () => {
    const kept = (await erase()).filter(({ what, kind: each }) => what === 'kept' && each === 'rows')
    expect(kept).toHaveLength(2)
    expect(kept).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ where: '"visits"', count: shops.length, note: expect.stringContaining('of_pair@1') as string }),
        expect.objectContaining({ where: 'the query of the source "all_visits"', note: expect.stringContaining('of_guest@1') as string }),
      ]),
    )
    expect(await finish()).toBe(0)
  })

  it('searches again where a process ended in between, or a failover undid it', async () => {
    const { db, store } = use()
    const plan = catalog.view('of_pair')
    const keys = shops.map((shop) => ({ view: plan.id, entity: 'pair', key: encodeKey(plan.key, [shop, BigInt(customer)]) }))
    const before = await store.read(keys)
    await deleteRows()
    await erase()
    const ending: OnlineStore = {
      ...store,
      async *keys(view, entity) {
        for await (const group of store.keys(view, entity)) {
          yield group.slice(0, 1)
          throw new Error('the process ended')
        }
      },
    }
    await expect(finish(ending)).rejects.toThrow('the process ended')
    expect(await pendingErasures(db)).toBe(1)
    expect(await finish()).toBe(0)
    expect(await customersOf('of_pair', 1)).toEqual([10, 1020])
    if (kind === 'embedded') return
    const states = keys.map((key, i) => ({ ...key, expected: null, bytes: before[i] as Buffer }))
    expect(await store.write(states)).not.toContain(false)
    expect(await reopenErasures(db)).toBeGreaterThan(0)
    expect(await finish()).toBe(0)
    expect(await customersOf('of_pair', 1)).toEqual([10, 1020])
  })

  it('is not undone by a run that had read the rows before', async () => {
    const { db, store } = use()
    await db.query(`INSERT INTO visits (customer, shop, at, paid) VALUES ($1, 'new', '2001-05-20T01:00:00Z', 2)`, [customer])
    const held = await heldRun(db, store, catalog.view('of_pair'))
    await deleteRows()
    await erase()
    expect(await finish(store, 0)).toBe(1)
    held.open()
    await held.run
    expect(await finish()).toBe(0)
    expect(await customersOf('of_pair', 1)).toEqual([10, 1020])
  })
})
