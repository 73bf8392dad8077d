import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Database } from '../../runtime/postgres/database.ts'
import { copyHeader, copyTrailer } from '../../runtime/postgres/copy-pieces.ts'
import { failureOf } from './failure-of.ts'
import { fieldsOf, textRows, tupleOf } from './tuples.ts'

export interface OpenedDatabase {
  readonly db: Database
  close(): Promise<void>
}

/** The contract of every `Database`. */
export function databaseContract(name: string, open: () => Promise<OpenedDatabase>): void {
  describe(`the database on ${name}`, () => {
    let opened: OpenedDatabase
    let db: Database

    beforeAll(async () => {
      opened = await open()
      db = opened.db
    })
    afterAll(() => opened?.close())
    beforeEach(() => db.script('drop table if exists item; create table item (id int primary key, name text)'))

    describe('statements', () => {
      it('binds parameters and returns int8 as text, bytea as Buffer, times as UTC Date', async () => {
        const rows = await db.query(
          `select $1::text as name, $2::int as id, 9007199254740993::int8 as big, '\\x00ff'::bytea as bytes, true as yes, null as nothing,
            timestamp '2001-02-03 04:05:06.5' as local, timestamptz '2001-02-03 04:05:06+02' as zoned, date '2001-02-03' as day, '{"a": [1]}'::json as json`,
          ["it's", 7],
        )
        expect(rows).toEqual([
          {
            name: "it's",
            id: 7,
            big: '9007199254740993',
            bytes: Buffer.from([0, 255]),
            yes: true,
            nothing: null,
            local: new Date('2001-02-03T04:05:06.500Z'),
            zoned: new Date('2001-02-03T02:05:06Z'),
            day: new Date('2001-02-03T00:00:00Z'),
            json: { a: [1] },
          },
        ])
      })

      it('runs every session in UTC', async () => {
        const zone = `select current_setting('TimeZone') as zone`
        expect(await db.query(zone)).toEqual([{ zone: 'UTC' }])
        expect(await db.snapshot((snapshot) => snapshot.query(zone))).toEqual([{ zone: 'UTC' }])
      })

      it('reports the code of a failed statement, and continues', async () => {
        await expect(db.query('select * from missing')).rejects.toMatchObject({ code: '42P01' })
        await db.ping()
      })

      it('refuses a text of two statements, and runs neither', async () => {
        const two = `insert into item values (1, 'one'); insert into item values (2, 'two')`
        await expect(db.query(two)).rejects.toMatchObject({ code: '42601' })
        await expect(db.kysely.executeQuery(sql.raw(two).compile(db.kysely))).rejects.toMatchObject({ code: '42601' })
        const escaping = 'select 1; commit; create table escaped (id int)'
        await expect(db.snapshot((snapshot) => snapshot.query(escaping))).rejects.toMatchObject({ code: '42601' })
        expect(await db.query(`select id, to_regclass('escaped') as escaped from item`)).toEqual([])
        expect(await db.query(`select to_regclass('escaped') as escaped;`)).toEqual([{ escaped: null }])
      })

      it('starts no statement for an aborted signal', async () => {
        const signal = AbortSignal.abort(new Error('enough'))
        await expect(db.query('insert into item values (1)', [], { signal })).rejects.toThrow('enough')
        expect(await db.query('select id from item')).toEqual([])
      })

      it('shows a lock to everybody until it is released', async () => {
        const held = `select objid::int as id from pg_locks where locktype = 'advisory' and classid = 77`
        const release = await db.lock(77, 5)
        expect(await db.query(held)).toEqual([{ id: 5 }])
        await release()
        expect(await db.query(held)).toEqual([])
      })

      it('notifies listeners of commits, until it is stopped', async () => {
        const notices: (string | null)[] = []
        const stop = await db.listen('some_channel', (said) => notices.push(said))
        await vi.waitFor(() => expect(notices).toEqual([null]), 60_000)
        await db.kysely.transaction().execute(async (transaction) => {
          await sql`select pg_notify('some_channel', 'x')`.execute(transaction)
          await sql`select pg_notify('other_channel', 'x')`.execute(transaction)
        })
        await vi.waitFor(() => expect(notices).toEqual([null, 'x']), 60_000)
        await db.kysely
          .transaction()
          .execute(async (transaction) => {
            await sql`select pg_notify('some_channel', 'x')`.execute(transaction)
            throw new Error('undone')
          })
          .catch(() => undefined)
        await db.query(`select pg_notify('some_channel', 'y')`)
        await vi.waitFor(() => expect(notices).toEqual([null, 'x', 'y']), 60_000)
        await stop()
        await db.query(`select pg_notify('some_channel', 'z')`)
        await db.ping()
        expect(notices).toHaveLength(3)
      })

      it('keeps notifying listeners after a script', async () => {
        const notices: (string | null)[] = []
        const stop = await db.listen('scripted', (said) => notices.push(said))
        await vi.waitFor(() => expect(notices).toEqual([null]), 60_000)
        await db.script('create temp table gone (id int); set work_mem = 65; begin; insert into item values (1)')
        await db.query(`select pg_notify('scripted', 'x')`)
        await vi.waitFor(() => expect(notices).toEqual([null, 'x']), 60_000)
        expect(
          await db.query(
            `select to_regclass('gone') as gone, current_setting('work_mem') = '65kB' as "isSet", (select count(*)::int from item) as rows`,
          ),
        ).toEqual([{ gone: null, isSet: false, rows: 0 }])
        await stop()
      })

      it('counts who listens', async () => {
        const listening = async (channel: string) =>
          await new Promise<() => Promise<void>>((resolve) => {
            const began = db.listen(channel, () => resolve(began))
          })
        const stops = [await listening('counted'), await listening('counted'), await listening('other')]
        await vi.waitFor(async () => expect(await db.listeners('counted')).toBe(2), 60_000)
        await stops[0]?.()
        await vi.waitFor(async () => expect(await db.listeners('counted')).toBe(1), 60_000)
        expect(await db.listeners('nobody')).toBe(0)
        for (const stop of stops) await stop()
        await vi.waitFor(async () => expect(await db.listeners('counted')).toBe(0), 60_000)
      })

      it('runs the statements of a script all or none', async () => {
        await db.script(`insert into item values (1, 'a;b'); insert into item values (2, null)`)
        await expect(db.script('insert into item values (3, null); insert into item values (1, null)')).rejects.toMatchObject({
          code: '23505',
        })
        expect(await db.query('select id, name from item order by id')).toEqual([
          { id: 1, name: 'a;b' },
          { id: 2, name: null },
        ])
      })

      it('isolates the leftovers of a script from other users', async () => {
        await db.script('set search_path = nowhere; begin; insert into public.item values (1)')
        expect(await db.query('select count(*)::int as rows from item')).toEqual([{ rows: 0 }])
        await expect(db.script(`set search_path = nowhere; select 1 / 0`)).rejects.toMatchObject({ code: '22012' })
        expect(await db.query('select count(*)::int as rows from item')).toEqual([{ rows: 0 }])
      })

      it('serves transactions of Kysely beside other statements', async () => {
        const work = failureOf(
          db.kysely.transaction().execute(async (trx) => {
            for (let id = 0; id < 20; id++)
              await trx
                .insertInto('item' as 'lockstep.code')
                .values({ id } as never)
                .execute()
            throw new Error('rolled back')
          }),
        )
        const counts = await Promise.all(Array.from({ length: 20 }, () => db.query('select count(*)::int as rows from item')))
        expect(String(await work)).toBe('Error: rolled back')
        expect(counts.flat().every((row) => row['rows'] === 0)).toBe(true)
      })
    })

    describe('COPY in', () => {
      it('copies text in any cut, and counts the rows', async () => {
        expect(await db.copyIn('copy item from stdin', bytes('1\ta\n2', '\t', '\\N\n', '', '3\tc\n'))).toBe(3)
        expect(await db.query('select name from item order by id')).toEqual([{ name: 'a' }, { name: null }, { name: 'c' }])
      })

      it('copies binary rows in any cut', async () => {
        const rows = Array.from({ length: 500 }, (_, id) => tupleOf([int4(id), id % 3 === 0 ? null : Buffer.from('n'.repeat(id))]))
        const data = Buffer.concat([copyHeader, ...rows, copyTrailer])
        expect(await db.copyIn('copy item from stdin (format binary)', cut(data, 1000))).toBe(500)
        expect(await db.query('select count(name)::int as names, sum(length(name))::int as length from item')).toEqual([
          { names: 333, length: 83_167 },
        ])
      })

      it('copies nothing from no rows', async () => {
        expect(await db.copyIn('copy item from stdin', bytes())).toBe(0)
        expect(await db.copyIn('copy item from stdin (format binary)', cut(Buffer.concat([copyHeader, copyTrailer]), 100))).toBe(0)
      })

      it('copies nothing if a late row is wrong, and names it', async () => {
        async function* rows() {
          for (let id = 0; id < 100_000; id += 10_000) {
            const lines = Array.from({ length: 10_000 }, (_, i) => (id + i === 300 ? 'x\twrong\n' : `${id + i}\tfine\n`))
            yield Buffer.from(lines.join(''))
          }
        }
        await expect(db.copyIn('copy item from stdin', rows())).rejects.toMatchObject({
          code: '22P02',
          where: expect.stringContaining('line 301') as string,
        })
        expect(await db.query('select count(*)::int as rows from item')).toEqual([{ rows: 0 }])
      })

      it('copies nothing if the rows end in an error', async () => {
        async function* rows() {
          yield Buffer.from('1\ta\n')
          throw new Error('the file broke off')
        }
        await expect(db.copyIn('copy item from stdin', rows())).rejects.toThrow('the file broke off')
        expect(await db.query('select count(*)::int as rows from item')).toEqual([{ rows: 0 }])
        expect(await db.copyIn('copy item from stdin', bytes('1\ta\n'))).toBe(1)
      })

      it('refuses an invalid binary COPY, and copies nothing', async () => {
        const cutOff = Buffer.concat([copyHeader, tupleOf([int4(1), null]), tupleOf([int4(2), null]).subarray(0, 5)])
        await expect(db.copyIn('copy item from stdin (format binary)', cut(cutOff, 100))).rejects.toThrow()
        await expect(db.copyIn('copy item from stdin (format binary)', bytes('1\ta\n'))).rejects.toThrow()
        expect(await db.query('select count(*)::int as rows from item')).toEqual([{ rows: 0 }])
      })
    })

    describe('snapshots', () => {
      beforeAll(() =>
        db.script(`
          create table entry (id int primary key, name text);
          insert into entry select i, case when i % 7 > 0 then 'name ' || i end from generate_series(1, 30000) i;
        `),
      )

      it('streams complete rows in order, with their NULLs', async () => {
        const rows = await db.snapshot((snapshot) => textRows(snapshot, 'select id::text, name from entry order by entry.id'))
        expect(rows).toEqual(Array.from({ length: 30_000 }, (_, i) => [`${i + 1}`, (i + 1) % 7 === 0 ? null : `name ${i + 1}`]))
      })

      it('streams no rows as no batch', async () => {
        expect(await db.snapshot((snapshot) => textRows(snapshot, 'select name from entry where false'))).toEqual([])
      })

      it('streams rows without columns', async () => {
        const fields = await db.snapshot(async (snapshot) => {
          const found = []
          for await (const batch of snapshot.tuples('select from entry where id <= 3')) found.push(...fieldsOf(batch))
          return found
        })
        expect(fields).toEqual([[], [], []])
      })

      it('streams values in their binary form', async () => {
        const [fields] = await db.snapshot(async (snapshot) => {
          const found = []
          const select = `select 258::int4, -1::int8, 1.5::float8, timestamptz '2000-01-01 00:00:01+00', true, 'é'::text, '\\x0001'::bytea`
          for await (const batch of snapshot.tuples(select)) found.push(...fieldsOf(batch))
          return found
        })
        expect(fields?.map((field) => field?.toString('hex'))).toEqual([
          '00000102',
          'ffffffffffffffff',
          '3ff8000000000000',
          '00000000000f4240',
          '01',
          'c3a9',
          '0001',
        ])
      })

      it('streams rows that are wider than any chunk, among narrow ones', async () => {
        const width = (i: number) => (i % 5 === 0 ? 1_000_000 + i : i)
        const rows = await db.snapshot((snapshot) =>
          textRows(
            snapshot,
            'select i::text, repeat(chr(97 + i), case when i % 5 = 0 then 1000000 + i else i end) from generate_series(0, 24) i',
          ),
        )
        expect(rows.length).toBe(25)
        for (const [i, [id, text]] of rows.entries()) {
          expect(id).toBe(`${i}`)
          expect(text === String.fromCharCode(97 + i).repeat(width(i))).toBe(true)
        }
      })

      it('lets two streams take turns, with statements between them', async () => {
        const pairs = await db.snapshot(async (snapshot) => {
          const up = snapshot.tuples('select id::text from entry order by entry.id')[Symbol.asyncIterator]()
          const down = snapshot.tuples('select id::text from entry order by entry.id desc')[Symbol.asyncIterator]()
          const seen: [number, number] = [0, 0]
          for (let open = true; open;) {
            const [a, b] = [await up.next(), await down.next()]
            expect(await snapshot.query('select 1 as one')).toEqual([{ one: 1 }])
            if (a.done !== true) seen[0] += sum(fieldsOf(a.value))
            if (b.done !== true) seen[1] += sum(fieldsOf(b.value))
            open = a.done !== true || b.done !== true
          }
          return seen
        })
        expect(pairs).toEqual([450_015_000, 450_015_000])
      })

      it('lets streams be left early, or never started', async () => {
        const rows = await db.snapshot(async (snapshot) => {
          for await (const batch of snapshot.tuples('select name from entry')) {
            expect(batch.starts.length).toBeGreaterThan(0)
            break
          }
          snapshot.tuples('select name from entry')
          const left = snapshot.tuples('select name from entry')[Symbol.asyncIterator]()
          await left.next()
          return await snapshot.query('select count(*)::int as rows from entry')
        })
        expect(rows).toEqual([{ rows: 30_000 }])
        expect(await db.query('select count(*)::int as rows from entry')).toEqual([{ rows: 30_000 }])
      })

      it('releases everything if its user fails', async () => {
        const failing = db.snapshot(async (snapshot) => {
          for await (const batch of snapshot.tuples('select name from entry')) throw new Error(`seen ${batch.starts.length > 0}`)
        })
        await expect(failing).rejects.toThrow('seen true')
        await db.ping()
      })

      it('reports errors of a stream, at its start and later', async () => {
        const read = (select: string) => db.snapshot((snapshot) => textRows(snapshot, select))
        await expect(read('select missing from entry')).rejects.toMatchObject({ code: '42703' })
        await expect(read('select (1000 / (25000 - id))::text from entry order by id')).rejects.toMatchObject({ code: '22012' })
        await db.ping()
      })

      it('cannot write', async () => {
        await expect(db.snapshot((snapshot) => snapshot.query('delete from entry'))).rejects.toMatchObject({ code: '25006' })
      })

      it('lets others read while it is open, and goes on where they fail', async () => {
        const select = 'select id::text from entry order by entry.id'
        const count = 'select count(*)::int as rows from item'
        let write: Promise<unknown> = Promise.resolve()
        const rows = await db.snapshot(async (snapshot) => {
          const own = snapshot.tuples(select)[Symbol.asyncIterator]()
          let seen = (await own.next()).value?.starts.length ?? 0
          await db.ping()
          await expect(db.query('select missing from entry')).rejects.toMatchObject({ code: '42703' })
          expect(await db.snapshot((inner) => textRows(inner, select))).toHaveLength(30_000)
          await expect(db.snapshot((inner) => textRows(inner, 'select (1 / 0)::text'))).rejects.toMatchObject({ code: '22012' })
          write = Promise.all([
            db.query('insert into item values (99)'),
            db.kysely.transaction().execute((transaction) => sql`select id from item for update`.execute(transaction)),
            db.query('with added as (insert into item values (98) returning id) select id from added'),
          ])
          const reading = db.kysely.transaction().setIsolationLevel('repeatable read').setAccessMode('read only')
          const read = await reading.execute((transaction) => sql.raw<{ rows: number }>(count).execute(transaction))
          const later = await sql.raw<{ rows: number }>(count).execute(db.kysely)
          // a server may write between the two reads
          expect(read.rows[0]?.rows).toBeLessThanOrEqual(later.rows[0]?.rows ?? Number.NaN)
          expect(await snapshot.query(count)).toEqual([{ rows: 0 }])
          for (let next = await own.next(); next.done !== true; next = await own.next()) seen += next.value.starts.length
          return seen
        })
        expect(rows).toBe(30_000)
        await write
        expect(await db.query(count)).toEqual([{ rows: 2 }])
      })

      it('knows the transaction below which all have ended', async () => {
        const [row] = await db.query<{ xid: string }>('insert into item values (0) returning pg_current_xact_id()::text as xid')
        const xmin = await db.snapshot((snapshot) => Promise.resolve(snapshot.xmin))
        expect(xmin).toBe(Number(row?.xid) + 1)
      })

      it('runs many at once, each with several streams', async () => {
        const counts = await Promise.all(
          Array.from({ length: 8 }, () =>
            db.snapshot(async (snapshot) => {
              const selects = ['select id::text from entry', 'select name from entry', 'select name from entry where id < 100']
              const rows = await Promise.all(selects.map((select) => textRows(snapshot, select)))
              return rows.map((of) => of.length)
            }),
          ),
        )
        expect(counts).toEqual(Array.from({ length: 8 }, () => [30_000, 30_000, 99]))
      })
    })
  })
}

function sum(tuples: (Buffer | null)[][]): number {
  return tuples.reduce((total, [field]) => total + Number(field?.toString()), 0)
}

function int4(value: number): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeInt32BE(value)
  return buffer
}

async function* bytes(...chunks: string[]): AsyncGenerator<Buffer> {
  for (const chunk of chunks) yield Buffer.from(chunk)
}

async function* cut(data: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size)
}
