import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeKey } from '../../kernel/values/entity-key.ts'
import { readHeader } from '../../kernel/states/stored-state.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { undoIngest } from '../../materializer/sources/undo-ingest.ts'
import { ingestOnce } from '../../offline/ingest/ingest-once.ts'
import type { OnlineStore } from '../../online/store.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { loadDefinitions } from '../../registry/load/load-definitions.ts'
import { readAudit } from '../../runtime/audit.ts'
import { definitionFiles } from '../registry/definition-files.ts'
import { materializerFixture, moment, storeKinds } from './fixture.ts'

const files = definitionFiles({
  'bills.ts': `
  import { count, entity, featureView, last, source, t } from 'lockstep'
  const account = entity('account', { key: { account: t.string } })
  const bills = source('bills', { key: { account: 'account' }, eventTime: 'at', columns: { amount: t.float64 } })
  export const ofAccount = featureView('of_account', { version: 1, entity: account, source: bills, online: true, features: { last: last('amount'), rows: count('lifetime') } })
  `,
})

const fixture = materializerFixture()
let catalog: Catalog
let folder: string
beforeAll(async () => {
  const { db } = fixture().open('redis')
  await applyChanges(db, await loadDefinitions(`${files}/bills.ts`))
  catalog = await loadCatalog(db)
  folder = await mkdtemp(join(tmpdir(), 'lockstep-undo-'))
})
afterAll(() => rm(folder, { recursive: true }))

describe.each(storeKinds)('a load that is undone, with states in %s', (kind) => {
  async function load(text: string): Promise<string> {
    const path = join(folder, 'bills.csv')
    await writeFile(path, `account,at,amount\n${text}\n`)
    return (await ingestOnce(fixture().open(kind).db, catalog.source('bills'), path, { actor: 'me', again: true })).id
  }

  /** Per account what its state holds, without the frontier. */
  async function states(store: OnlineStore): Promise<(string | null)[]> {
    const plan = catalog.view('of_account')
    const keys = ['a', 'b', 'c'].map((name) => ({ view: plan.id, entity: 'account', key: encodeKey(plan.key, [name]) }))
    return (await store.read(keys)).map((bytes) => (bytes ? bytes.toString('hex', readHeader(bytes, plan.id).bodyAt) : null))
  }

  it('leaves rows and states as if it had not been, and is undone once', async () => {
    const { db, store } = fixture().open(kind)
    const plan = catalog.view('of_account')
    await db.query('delete from lockstep_source.bills')
    const undo = (id: string) => undoIngest(db, store, catalog, id, { moment, waitMs: 60_000 })
    await load('a,2001-05-20,1\nb,2001-05-20,2')
    await materializeView(db, store, plan, { moment, rebuild: true })
    const before = await states(store)
    const mistake = await load('a,2001-05-21,3\nc,2001-05-21,4')
    await materializeView(db, store, plan, { moment })
    expect(await states(store)).not.toEqual(before)

    expect(await undo(mistake)).toMatchObject({ rows: 2, source: 'bills', entities: { 'of_account@1': 2 } })
    expect(await readAudit(db, { what: 'bills', limit: 2 })).toMatchObject([
      { action: 'ingest.undo', subject: 'bills', before: { load: Number(mistake), rows: 2 } },
      { actor: 'me', action: 'ingest', after: { load: Number(mistake), rows: 2, sha256: expect.any(String) as string } },
    ])
    expect(await states(store)).toEqual(before)
    expect(await db.query('select account from lockstep_source.bills order by account')).toEqual([{ account: 'a' }, { account: 'b' }])
    await materializeView(db, store, plan, { moment })
    expect(await states(store)).toEqual(before)
    await expect(undo(mistake)).rejects.toMatchObject({ code: 'USAGE', message: expect.stringContaining('was already undone on') })
    await expect(undo('x')).rejects.toMatchObject({ code: 'UNKNOWN_DEFINITION' })

    // one that was killed after its rows were deleted
    const killed = await load('b,2001-05-22,5')
    await materializeView(db, store, plan, { moment })
    await db.query('delete from lockstep_source.bills where amount = 5')
    await db.kysely.updateTable('lockstep.ingests').set({ undoing_at: new Date() }).where('id', '=', killed).execute()
    expect(await states(store)).not.toEqual(before)
    expect(await undo(killed)).toMatchObject({ rows: 0, entities: { 'of_account@1': null } })
    expect(await states(store)).toEqual(before)
  })

  it('is refused if the table does not record who wrote its rows', async () => {
    const { db, store } = fixture().open(kind)
    const id = await load('a,2001-05-20,1')
    await db.query(`update lockstep.ingests set relation = 'pg_catalog.pg_class' where id = $1`, [id])
    const undone = undoIngest(db, store, catalog, id, { moment, waitMs: 60_000 })
    await expect(undone).rejects.toMatchObject({ code: 'NOT_REPRODUCIBLE', message: expect.stringContaining('no column "_xid"') })
  })

  it('is refused if other rows have its transaction number, as after a dump restore', async () => {
    const { db, store } = fixture().open(kind)
    const id = await load('a,2001-05-20,1')
    await db.query(
      `insert into lockstep_source.bills (account, at, amount, _xid) select 'b', '2001-05-21', 2, xid from lockstep.ingests where id = $1`,
      [id],
    )
    const undone = undoIngest(db, store, catalog, id, { moment, waitMs: 60_000 })
    await expect(undone).rejects.toMatchObject({ code: 'NOT_REPRODUCIBLE', message: expect.stringMatching(/^1 other rows/) })
    const left = 'select count(*)::int as n from lockstep_source.bills b join lockstep.ingests i on i.xid = b._xid where i.id = $1'
    expect(await db.query(left, [id])).toEqual([{ n: 2 }])
  })
})
