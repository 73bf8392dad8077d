import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import type { IngestOnceOptions } from '../../offline/ingest/ingest-once.ts'
import { ingestOnce } from '../../offline/ingest/ingest-once.ts'
import type { OpenedDatabase } from './databases.ts'
import { databases } from './databases.ts'

const sales: SourceSpec = {
  name: 'sales',
  relation: { kind: 'table', table: 'sales' },
  key: [{ part: 'card', column: 'card' }],
  eventTime: 'at',
  known: null,
  columns: [{ name: 'id', type: { kind: 'int32' } }],
}

for (const { kind, open } of databases) {
  describe(`a file that is loaded into ${kind}`, () => {
    let opened: OpenedDatabase
    let folder: string
    let file: string
    beforeAll(async () => {
      opened = await open()
      folder = await mkdtemp(join(tmpdir(), 'lockstep-ingest-once-'))
    })
    beforeEach(async () => {
      await opened.db.script(`DROP TABLE IF EXISTS sales; TRUNCATE lockstep.ingests;
        CREATE TABLE sales (card text, at timestamptz NOT NULL, id int, "_row" bigint GENERATED ALWAYS AS IDENTITY, "_xid" xid8 NOT NULL DEFAULT pg_current_xact_id())`)
      file = await written('sales.csv', 'card,at,id\na,2001-01-01,1\nb,2001-01-02,2\n')
    })
    afterAll(async () => {
      await opened?.close()
      await rm(folder, { recursive: true })
    })

    async function written(name: string, text: string): Promise<string> {
      await writeFile(join(folder, name), text)
      return join(folder, name)
    }
    const load = (path = file, options: Partial<IngestOnceOptions> = {}) => ingestOnce(opened.db, sales, path, { actor: 'me', ...options })
    const ids = async () => (await opened.db.query<{ id: number }>('SELECT id FROM sales ORDER BY "_row"')).map(({ id }) => id)
    const refused = { code: 'ALREADY_INGESTED', message: expect.stringMatching(/was loaded into this table .*--again/) }

    it('is refused a second time, even under another name, unless forced', async () => {
      const first = await load()
      expect(first).toMatchObject({ id: expect.stringMatching(/^\d+$/), rows: 2, already: 0 })
      const copy = await written('copy.csv', 'card,at,id\na,2001-01-01,1\nb,2001-01-02,2\n')
      await expect(load(copy)).rejects.toMatchObject(refused)
      await expect(load(copy, { every: 2 })).rejects.toMatchObject(refused)
      expect(await ids()).toEqual([1, 2])
      expect((await load(copy, { again: true })).rows).toBe(2)
      expect(await ids()).toEqual([1, 2, 1, 2])
    })

    it('is loaded again once all of its rows are deleted', async () => {
      await load()
      await opened.db.query('DELETE FROM sales WHERE id = 1')
      await expect(load()).rejects.toMatchObject(refused)
      await opened.db.query('DELETE FROM sales')
      expect((await load()).rows).toBe(2)
    })

    it('is loaded once if two loads of it run at the same time', async () => {
      const both = await Promise.allSettled([load(), load()])
      expect(both.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
      expect(both.find(({ status }) => status === 'rejected')).toMatchObject({ reason: refused })
      expect(await ids()).toEqual([1, 2])
    })

    it('leaves nothing behind if a row is refused', async () => {
      const wrong = await written('wrong.csv', 'card,at,id\na,2001-01-01,1\nb,never,2\n')
      await expect(load(wrong)).rejects.toMatchObject({ code: 'INVALID_ROW' })
      await expect(load(wrong, { key: ['id'] })).rejects.toMatchObject({ code: 'INVALID_ROW' })
      expect(await ids()).toEqual([])
      expect(await opened.db.query('SELECT id FROM lockstep.ingests')).toEqual([])
    })

    it('adds only rows with new keys, in order, if a key is given', async () => {
      await load()
      const more = await written('more.csv', 'card,at,id\nc,2001-01-05,5\nb,2001-01-02,2\nc,2001-01-04,4\nc,2001-01-06,4\n')
      expect(await load(more, { key: ['id'] })).toMatchObject({ rows: 2, already: 2 })
      expect(await load(more, { key: ['card', 'id'] })).toMatchObject({ rows: 0, already: 4 })
      expect(await ids()).toEqual([1, 2, 5, 4])
      expect(await opened.db.query(`SELECT at = '2001-01-04Z' AS first FROM sales WHERE id = 4`)).toEqual([{ first: true }])
      const keyless = await written('keyless.csv', 'card,at,id\na,2001-01-01,7\na,2001-01-01,\n')
      await expect(load(keyless, { key: ['id'] })).rejects.toMatchObject({
        code: 'INVALID_ROW',
        message: expect.stringMatching(/^Row 2 of .* column "id" has no value/),
      })
      await expect(load(more, { key: ['number'] })).rejects.toMatchObject({ code: 'UNKNOWN_COLUMN' })
    })

    describe('with ids of events', () => {
      const events = 'card,at,id,_event_id\na,2001-01-01,1,e1\nb,2001-01-02,2,e2\nb,2001-01-02,3,\na,2001-01-03,4,e1\n'
      beforeEach(async () => {
        await opened.db.script(`ALTER TABLE sales ADD "_event_id" text;
          CREATE UNIQUE INDEX ON sales ("_event_id") WHERE "_event_id" IS NOT NULL`)
      })
      const stored = () =>
        opened.db.query<{ id: number; event: string | null }>('SELECT id, "_event_id" AS event FROM sales ORDER BY "_row"')

      it('adds each event once, whether a file or a push brought it first', async () => {
        await opened.db.query(`INSERT INTO sales (card, at, id, "_event_id") VALUES ('b', '2001-01-02Z', 9, 'e2')`)
        expect(await load(await written('events.csv', events))).toMatchObject({ rows: 2, already: 2 })
        const first = [9, 1, 3].map((id, index) => ({ id, event: ['e2', 'e1', null][index] }))
        expect(await stored()).toEqual(first)
        const longer = await written('longer.csv', `${events}c,2001-01-04,5,e5\n`)
        expect(await load(longer, { key: ['id'] })).toMatchObject({ rows: 1, already: 4 })
        expect(await stored()).toEqual([...first, { id: 5, event: 'e5' }])
      })

      it('finds ids that only later rows of JSON lines have', async () => {
        const rows = Array.from({ length: 10_001 }, (_, id) => ({
          card: 'a',
          at: '2001-01-01',
          id,
          ...(id > 9_999 ? { _event_id: 'e' } : {}),
        }))
        const lines = await written('later.jsonl', rows.map((row) => JSON.stringify(row)).join('\n'))
        expect(await load(lines)).toMatchObject({ rows: 10_001, already: 0 })
        expect((await stored()).at(-1)).toEqual({ id: 10_000, event: 'e' })
      })

      it('leaves out the ids if the table does not keep them unique', async () => {
        await opened.db.query('DROP INDEX "sales__event_id_idx"')
        expect(await load(await written('events.csv', events))).toMatchObject({ rows: 4, already: 0 })
        expect(await stored()).toEqual([1, 2, 3, 4].map((id) => ({ id, event: null })))
      })

      it.each(['""', 'é'.repeat(257)])('refuses the id %s', async (id) => {
        const wrong = await written('wrong.csv', `card,at,id,_event_id\na,2001-01-01,1,${id}\n`)
        await expect(load(wrong)).rejects.toMatchObject({
          code: 'INVALID_ROW',
          message: expect.stringMatching(/^Row 1 of .* column "_event_id" is an event id of (0|514) bytes, not of 1 to 512/),
        })
      })
    })
  })
}
