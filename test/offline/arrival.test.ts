import { sql } from 'kysely'
import { beforeEach, describe, expect, it } from 'vitest'
import { parseTimestamp } from '../../kernel/values/time.ts'
import { joinSpine } from '../../offline/join.ts'
import { openSpine } from '../../offline/spine/open-spine.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { viewSpec } from '../kernel/view-oracle.ts'
import { during, openServer } from '../opened-database.ts'
import { lastThing } from './thing-features.ts'
import { createThings, service, view } from './things.ts'

const noon = parseTimestamp('2001-03-01T12:00:00Z')
const asked = service([{ plan: view(viewSpec('things', [lastThing], { kind: 'continuous' }), 'things'), alias: null, key: ['thing'] }])

describe('a join beside transactions that are writing', () => {
  const opened = during(() => openServer())
  let db: Database
  beforeEach(async () => {
    db = opened().db
    await db.query('DROP TABLE IF EXISTS things')
    await createThings(db, 'things', [{ thing: 'a', eventTime: noon, knownTime: null, tie: 1, values: [1, null, null, null] }])
  })

  async function join() {
    const spine = await openSpine(db, asked, { sql: `SELECT 'a' AS thing, '2001-03-02'::timestamptz AS moment` })
    try {
      const values: unknown[] = []
      const summary = await joinSpine(db, asked, spine, {}, (batch) => void values.push(...(batch.values[0] ?? [])))
      return { values, ...summary }
    } finally {
      await spine.drop()
    }
  }

  const insert = (i: number) =>
    `INSERT INTO things (thing, at, i, "_row") VALUES ('a', '2001-03-01 13:00Z'::timestamptz + ${i} * interval '1 s', ${i}, ${i})`

  /** Has a transaction write meanwhile, and ends it. */
  async function beside<T>(fn: (end: () => void) => Promise<T>): Promise<T> {
    let end = (): void => undefined
    const ended = new Promise<void>((resolve) => (end = resolve))
    let begun = (): void => undefined
    const writing = new Promise<void>((resolve) => (begun = resolve))
    const transaction = db.kysely.transaction().execute(async (trx) => {
      await sql.raw(insert(2)).execute(trx)
      begun()
      await ended
    })
    await writing
    try {
      return await fn(end)
    } finally {
      end()
      await transaction
    }
  }

  it('waits for them, and reads their rows and those of others', async () => {
    const { values, heldBackRows } = await beside(async (end) => {
      await db.query(insert(3))
      setTimeout(end, 300)
      return await join()
    })
    expect(values).toEqual([3])
    expect(heldBackRows).toEqual({ things: 0 })
  })

  it('excludes commits after an open transaction, so that a later read is repeatable', async () => {
    const held = await beside(async () => {
      await db.query(insert(3))
      return await join()
    })
    expect(held).toMatchObject({ values: [1], heldBackRows: { things: 1 }, droppedRows: { things: 0 } })
    const below = await db.query(`SELECT i FROM things WHERE "_xid" < '${held.xmin}'::xid8`)
    expect(below).toEqual([{ i: 1 }])
    expect(await join()).toMatchObject({ values: [3], heldBackRows: { things: 0 } })
  })

  it('reads all rows of a table without arrivals', async () => {
    await db.query('ALTER TABLE things DROP COLUMN "_xid"')
    const { values, heldBackRows } = await beside(async () => {
      await db.query(insert(3))
      return await join()
    })
    expect(values).toEqual([3])
    expect(heldBackRows).toEqual({})
  })

  it("refuses rows of another database's transactions, which would stay hidden forever", async () => {
    await db.query(`UPDATE things SET "_xid" = '999999999999'::xid8`)
    await expect(join()).rejects.toMatchObject({ code: 'INVALID_ROW', message: expect.stringContaining('999999999999') })
    await db.query('UPDATE things SET "_xid" = pg_current_xact_id()')
    expect(await join()).toMatchObject({ values: [1] })
  })
})
