import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Database } from '../../runtime/postgres/database.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { preparedReads } from '../../runtime/postgres/prepared-reads.ts'
import { type TestDatabase, testDatabase } from '../services/index.ts'

describe('prepared reads', () => {
  let database: TestDatabase
  let plain: Database
  let db: Database

  beforeAll(async () => {
    database = await testDatabase({ migrate: false })
  })
  beforeEach(async () => {
    // calls that wait for each other use one connection
    plain = openPostgres(database.url)
    db = preparedReads(plain)
    await plain.script('drop table if exists item; create table item (id int, name text); insert into item values (1, null), (2, $$two$$)')
    return () => plain.close()
  })
  afterAll(async () => {
    await database?.drop()
  })

  const named = async (): Promise<string[]> =>
    (await plain.query<{ statement: string }>('select statement from pg_prepared_statements order by statement')).map(
      (each) => each.statement,
    )

  it('prepare a statement when it is run for the third time', async () => {
    const text = 'select * from item where id >= $1 order by id'
    for (const count of [0, 0, 1, 1]) {
      expect(await db.query(text, [2])).toEqual([{ id: 2, name: 'two' }])
      expect(await named()).toHaveLength(count)
    }
    expect(await db.query(text, [1])).toEqual([
      { id: 1, name: null },
      { id: 2, name: 'two' },
    ])
    expect(await named()).toEqual([text])
  })

  it('prepare the statements of Kysely, and answer the same', async () => {
    const read = (from: Database) => sql`select id, name, now() > ${new Date(0)} as "isLater" from item order by id`.execute(from.kysely)
    const { rows } = await read(plain)
    for (let i = 0; i < 4; i++) expect((await read(db)).rows).toEqual(rows)
    expect(await named()).toHaveLength(1)
  })

  it('answer after columns were added and types have changed', async () => {
    for (let i = 0; i < 4; i++) await db.query('select * from item order by id')
    await plain.script('alter table item alter column id type text; alter table item add column more int default 3')
    for (let i = 0; i < 4; i++) {
      expect(await db.query('select * from item order by id')).toEqual([
        { id: '1', name: null, more: 3 },
        { id: '2', name: 'two', more: 3 },
      ])
    }
  })

  it('read without prepared statements behind a pooler that loses them', async () => {
    for (let i = 0; i < 4; i++) await db.query('select name from item where id = $1', [2])
    await plain.query('deallocate all')
    for (let i = 0; i < 4; i++) {
      expect(await db.query('select name from item where id = $1', [2])).toEqual([{ name: 'two' }])
      expect(await db.query('select name from item where id = $1 or false', [2])).toEqual([{ name: 'two' }])
    }
    expect(await named()).toEqual([])
  })

  it('prepare at most 100 statements', async () => {
    for (let n = 0; n < 110; n++) for (let i = 0; i < 3; i++) expect(await db.query(`select ${n} as n`)).toEqual([{ n }])
    expect(await named()).toHaveLength(100)
  })

  it('keep the snapshot of a transaction, and undo what it did when it fails', async () => {
    const other = openPostgres(database.url)
    const count = sql<{ n: number }>`select count(*)::int as n from item`
    const reads = db.kysely.transaction().setIsolationLevel('repeatable read')
    const counted = await reads.execute(async (transaction) => {
      const before = await count.execute(transaction)
      await other.query('insert into item values (3, null)')
      return [before.rows, (await count.execute(transaction)).rows]
    })
    await other.close()
    expect(counted).toEqual([[{ n: 2 }], [{ n: 2 }]])
    const failed = db.kysely.transaction().execute(async (transaction) => {
      await sql`delete from item`.execute(transaction)
      throw new Error('not so')
    })
    await expect(failed).rejects.toThrow('not so')
    expect((await count.execute(db.kysely)).rows).toEqual([{ n: 3 }])
  })

  it('report what fails for another reason', async () => {
    for (let i = 0; i < 4; i++)
      await expect(db.query('select 1 / id from item where id = $1 - 2 or 1 / $1 > 5', [0])).rejects.toThrow('division by zero')
  })
})
