import { afterAll, beforeAll, expect, it } from 'vitest'
import { duckDbSpineRows } from '../../../offline/duckdb/duckdb-spine.ts'
import type { DuckDb } from '../../../offline/duckdb/open-duckdb.ts'
import { openDuckDb } from '../../../offline/duckdb/open-duckdb.ts'

const rows = 400_000
const spine = {
  table: '"spine"',
  columns: [
    { name: 'at', type: { kind: 'timestamp' }, sql: 's."c0"' },
    { name: 'text', type: { kind: 'string' }, sql: 's."c1"' },
  ],
  time: 'at',
} as const

let db: DuckDb
beforeAll(async () => {
  db = await openDuckDb({ threads: 4 })
})
afterAll(() => db?.close())

async function load(order: string): Promise<void> {
  await db.rows(
    `CREATE OR REPLACE TEMP TABLE "spine" AS SELECT CAST(range AS DOUBLE) AS "o", CAST((range * 7919) % 1000 AS DOUBLE) AS "c0", CAST(range AS VARCHAR) AS "c1" FROM range(${rows}) ${order}`,
  )
}

it('reads the rows of a spine in their order, with several threads', async () => {
  await load('')
  let next = 0
  for await (const { first, length, times, columns } of duckDbSpineRows(db, spine)) {
    expect(first).toBe(next)
    const numbers = Array.from({ length }, (_, i) => first + i)
    expect(times).toEqual(numbers.map((number) => (number * 7919) % 1000))
    expect(columns[1]).toEqual(numbers.map(String))
    next += length
  }
  expect(next).toBe(rows)
})

it('refuses rows of a spine that are out of order', async () => {
  await load(`ORDER BY range % 100000, range`)
  await expect(async () => {
    for await (const { length } of duckDbSpineRows(db, spine)) expect(length).toBeGreaterThan(0)
  }).rejects.toMatchObject({ code: 'INTERNAL', message: expect.stringContaining('out of order') })
})
