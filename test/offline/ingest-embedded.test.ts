import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import { ingestFile } from '../../offline/ingest/ingest.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { openPglite } from '../../runtime/embedded/open-pglite.ts'

const notes: SourceSpec = {
  name: 'notes',
  relation: { kind: 'table', table: 'notes' },
  key: [{ part: 'author', column: 'author' }],
  eventTime: 'at',
  known: null,
  columns: [{ name: 'note', type: { kind: 'string' } }],
}

describe('loading a file into the embedded database', () => {
  let folder: string
  let db: Database
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lockstep-embedded-'))
    db = await openPglite(join(folder, 'postgres'))
    await db.script(`
      create table notes (
        author text, at timestamptz not null, note text check (note <> 'forbidden'), length int4 generated always as (length(note)) stored,
        _row bigint generated always as identity, _xid xid8 not null default pg_current_xact_id()
      )`)
  })
  afterAll(async () => {
    await db?.close()
    await rm(folder, { recursive: true })
  })

  /** More than the database is fed at once: 9 MB, then the given last row. */
  async function longFile(lastRow: string): Promise<string> {
    const path = join(folder, 'notes.csv')
    await writeFile(path, `author,at,note\n${`ann,2001-01-01T00:00:00.000001Z,${'x'.repeat(1000)}\n`.repeat(9_000)}${lastRow}\n`)
    return path
  }

  it('takes all rows in one transaction', async () => {
    expect(await ingestFile(db, notes, await longFile(',2001-01-02,""'))).toMatchObject({ rows: 9_001 })
    const [row] = await db.query(
      `select count(*)::int as rows, count(distinct _xid::text)::int as transactions, sum(length)::int as length, min(at) = '2001-01-01 00:00:00.000001+00' as exact, max(_row)::int as last from notes`,
    )
    expect(row).toEqual({ rows: 9_001, transactions: 1, length: 9_000_000, exact: true, last: 9_001 })
  })

  it.each([
    ['a value does not fit', 'bob,today,x', /^Row 9001 of ".*notes\.csv": column "at" is "today"/],
    ['the table refuses a row', 'bob,2001-01-01,forbidden', /^The table "notes" refused a row of ".*notes\.csv": .*notes_note_check/],
  ])('takes none if %s, and keeps working', async (_, row, message) => {
    const before = await db.query('select count(*)::int as rows from notes')
    await expect(ingestFile(db, notes, await longFile(row))).rejects.toMatchObject({
      code: 'INVALID_ROW',
      message: expect.stringMatching(message),
    })
    expect(await db.query('select count(*)::int as rows from notes')).toEqual(before)
  })
})
