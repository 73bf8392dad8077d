import { beforeAll, describe, expect, it } from 'vitest'
import type { Database } from '../../runtime/postgres/database.ts'
import { arrivalColumns, checkQuery, queryColumns, sqlState, tableColumns, trimQuery } from '../../runtime/postgres/relation.ts'
import { during, openServer } from '../opened-database.ts'

describe('the description of a relation', () => {
  const opened = during(() => openServer({ migrate: false }))
  let db: Database
  beforeAll(async () => {
    db = opened().db
    await db.script(`
      create schema "my schema"; create domain whole as int8 not null default 7; create type mood as enum ('calm');
      create table "my schema"."T.x" (
        a int4 primary key, "B c" numeric(10,2) default 1, d text generated always as ('x') stored, w whole,
        _row bigint generated always as identity, _xid xid8 not null default pg_current_xact_id(), gone int, e float4[], m mood
      );
      alter table "my schema"."T.x" drop column gone; create table bare ();
      create table numbered (_row int, _xid xid8)`)
  })

  it('reports types, nulls, defaults and computed columns', async () => {
    const columns = await tableColumns(db, '"my schema"."T.x"')
    const plain = { nullable: false, hasDefault: false, generated: false }
    expect(columns).toEqual([
      { ...plain, name: 'a', type: 'int4', described: 'integer' },
      { ...plain, name: 'B c', type: 'numeric', described: 'numeric(10,2)', nullable: true, hasDefault: true },
      { ...plain, name: 'd', type: 'text', described: 'text', nullable: true, generated: true },
      { ...plain, name: 'w', type: 'int8', described: 'whole', hasDefault: true },
      { ...plain, name: '_row', type: 'int8', described: 'bigint', hasDefault: true, generated: true },
      { ...plain, name: '_xid', type: 'xid8', described: 'xid8', hasDefault: true },
      { ...plain, name: 'e', type: '_float4', described: 'real[]', nullable: true },
      { ...plain, name: 'm', type: 'enum', described: 'mood', nullable: true },
    ])
    expect(arrivalColumns(new Map(columns?.map(({ name, type }) => [name, type])))).toEqual({ hasRow: true, hasXid: true })
  })

  it('distinguishes a missing table from an empty one, and rejects int4 as identity', async () => {
    expect(await tableColumns(db, '"bare"')).toEqual([])
    expect(await tableColumns(db, '"nowhere"')).toBe(null)
    const numbered = await tableColumns(db, '"numbered"')
    expect(arrivalColumns(new Map(numbered?.map(({ name, type }) => [name, type])))).toEqual({ hasRow: false, hasXid: true })
  })

  it('reports the columns of a query without running it', async () => {
    const columns = await queryColumns(db, `select w, m, "B c" as price, 1 / (a - a) as never from "my schema"."T.x" -- all of it;\n;`)
    expect(columns.map(({ name, type, described }) => [name, type, described])).toEqual([
      ['w', 'int8', 'whole'],
      ['m', 'enum', 'mood'],
      ['price', 'numeric', 'numeric'],
      ['never', 'int4', 'integer'],
    ])
  })

  it.each([
    'select 1) q; create table escaped (id int); select * from (select 1',
    'select 1) q, (select 2',
    'select 1; create table escaped (id int)',
    'analyze select 1',
    'analyze) create table escaped as select 1 --',
    'select 1 /*',
  ])('refuses text that is not a single query: %s', async (query) => {
    const refused = await checkQuery(db, query).catch(sqlState)
    expect(refused).toBe('42601')
    expect(await tableColumns(db, '"escaped"')).toBe(null)
  })

  it('ends a query before the semicolons that people put there', () => {
    expect(trimQuery(' select 1 ;\n ; ')).toBe('select 1')
  })
})
