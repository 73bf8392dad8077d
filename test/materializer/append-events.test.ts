import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { encodeKey } from '../../kernel/values/entity-key.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { parseTimestamp } from '../../kernel/values/time.ts'
import { compileView } from '../../kernel/compile-view.ts'
import type { PushTarget } from '../../materializer/events/append-events.ts'
import { appendEvents } from '../../materializer/events/append-events.ts'
import { createEventReader } from '../../materializer/events/event-reader.ts'
import { readEventTable } from '../../materializer/events/event-table.ts'
import { countLeftOut, sourceRows } from '../../offline/rows/source-stream.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { countOfThings } from '../offline/thing-features.ts'
import { viewSpec } from '../kernel/view-oracle.ts'
import type { OpenedDatabase } from '../offline/databases.ts'
import { databases } from '../offline/databases.ts'
import { createMeasures, measures, nothing, sensor } from './events-source.ts'

const now = parseTimestamp('2026-03-01T12:00:00Z')
const noon = '2026-03-01T12:00:00Z'

for (const { kind, open } of databases) {
  describe(`events appended to a table that Lockstep made, in ${kind}`, () => {
    let opened: OpenedDatabase
    let db: Database
    beforeAll(async () => {
      opened = await open()
      db = opened.db
    })
    beforeEach(() => createMeasures(db))
    afterAll(() => opened?.close())

    async function append(sent: readonly unknown[], to: PushTarget = 'both') {
      const table = await readEventTable(db, measures)
      const read = createEventReader(table, { futureMicros: 600_000_000 })
      return await appendEvents(
        db,
        table,
        sent.map((event, index) => read(event, index, now)),
        { to },
      )
    }
    const event = (fields: object = {}) => ({ id: 1, place: 'here', at: '2026-03-01T11:00:00Z', ...nothing, ...fields })

    it('writes nothing if the clock of the process is far ahead of the database', async () => {
      const table = await readEventTable(db, measures)
      const events = [createEventReader(table, { futureMicros: 600_000_000 })(event(), 0, now)]
      const ahead = (seconds: number) => appendEvents(db, table, events, { to: 'both', now: () => (Date.now() + seconds * 1000) * 1000 })
      await expect(ahead(86_400)).rejects.toMatchObject({
        code: 'NOT_READY',
        message: expect.stringMatching(/86[34]\d\d s ahead of the database's/),
      })
      expect(await db.query(`SELECT id FROM lockstep_source.measures`)).toEqual([])
      expect(await ahead(60)).toMatchObject({ duplicates: [null] })
      expect(await ahead(-86_400)).toMatchObject({ duplicates: [null] })
    })

    it('stores every value exactly, in the order in which they were sent', async () => {
      const { xid, duplicates } = await append([
        event({
          b: true,
          i: -5,
          l: 9223372036854775807n,
          f: 0.1,
          d: 0.1,
          s: 'Zürich "x", \\{}',
          t: '2001-01-02T03:04:05.000006+02:00',
          v: [0.1, -1e-30],
        }),
        event({
          id: '-9223372036854775808',
          b: false,
          i: 2147483647,
          l: '9007199254740993',
          f: 'Infinity',
          d: 5e-324,
          s: '',
          t: -1,
          v: [1, 2],
        }),
        event(),
      ])
      expect(duplicates).toEqual([null, null, null])
      const rows = await db.query(
        `select id, place, b, i, l, f::text, d::text, s, extract(epoch from t)::text as t, v::text, _xid::text as xid, _event_id, _online_only
         from lockstep_source.measures order by _row`,
      )
      const kept = { place: 'here', xid: String(xid), _event_id: null, _online_only: false }
      expect(rows).toEqual([
        {
          ...kept,
          id: '1',
          b: true,
          i: -5,
          l: '9223372036854775807',
          f: '0.1',
          d: '0.1',
          s: 'Zürich "x", \\{}',
          t: '978397445.000006',
          v: '{0.1,-1e-30}',
        },
        {
          ...kept,
          id: '-9223372036854775808',
          b: false,
          i: 2147483647,
          l: '9007199254740993',
          f: 'Infinity',
          d: '5e-324',
          s: '',
          t: '-0.000001',
          v: '{1,2}',
        },
        { ...kept, id: '1', b: null, i: null, l: null, f: null, d: null, s: null, t: null, v: null },
      ])
    })

    it('is not known before it was received, and keeps a later or missing known time', async () => {
      await append([
        event(),
        event({ seen: null }),
        event({ seen: '2026-03-01T11:00:00Z' }),
        event({ seen: '2026-03-01T12:05:00Z' }),
        event({ seen: 'infinity' }),
      ])
      const rows = await db.query<{ seen: string }>('select seen::text from lockstep_source.measures order by _row')
      const received = '2026-03-01 12:00:00+00'
      expect(rows.map(({ seen }) => seen)).toEqual([received, received, received, '2026-03-01 12:05:00+00', 'infinity'])
    })

    it('writes an event id once, and reports its transaction', async () => {
      const first = await append([event({ _event_id: 'a', i: 1 }), event({ i: 2 })])
      const second = await append([
        event({ _event_id: 'a', i: 3 }),
        event({ _event_id: 'b', i: 4 }),
        event({ _event_id: 'b', i: 5 }),
        event({ i: 2 }),
      ])
      expect(second.duplicates).toEqual([first.xid, null, second.xid, null])
      const again = await append([event({ _event_id: 'b' }), event({ _event_id: 'a' })])
      expect(again).toEqual({ xid: null, duplicates: [second.xid, first.xid] })
      const rows = await db.query('select i, _event_id as id from lockstep_source.measures order by _row')
      expect(rows).toEqual([
        { i: 1, id: 'a' },
        { i: 2, id: null },
        { i: 4, id: 'b' },
        { i: 2, id: null },
      ])
    })

    it('writes each id once when many write the same ones at once, in any order', async () => {
      const ids = Array.from({ length: 60 }, (_, i) => `e${i}`)
      const results = await Promise.all(
        Array.from({ length: 6 }, (_, writer) =>
          append((writer % 2 === 0 ? ids : ids.toReversed()).map((id) => event({ _event_id: id, i: writer }))),
        ),
      )
      const fresh = results.flatMap(({ duplicates }) => duplicates).filter((duplicate) => duplicate === null)
      expect(fresh).toHaveLength(ids.length)
      expect(await db.query('select count(*)::int4 as n from lockstep_source.measures')).toEqual([{ n: ids.length }])
    })

    it('hides online-only rows from offline reads', async () => {
      const history = await append([event({ i: 1 })], 'offline')
      const online = await append([event({ i: 2 })], 'online')
      const spec = { ...viewSpec('measures', [countOfThings], { kind: 'continuous' }), entity: sensor, source: measures }
      const plan = compileView({ spec, code: null, fingerprint: 'print' })
      const read = async (options: object) => {
        const xids: number[] = []
        await db.snapshot(async (snapshot) => {
          for await (const rows of sourceRows(snapshot, [plan], { withXid: true, ...options })) xids.push(...rows.map(({ xid }) => xid))
        })
        return xids
      }
      expect(await read({})).toEqual([history.xid])
      expect(await read({ keys: [encodeKey(plan.key, [1n, 'here'])] })).toEqual([history.xid])
      expect(await read({ onlineOnly: true })).toEqual([history.xid, online.xid])
      expect(await db.snapshot((snapshot) => countLeftOut(snapshot, plan, history.xid ?? 0))).toMatchObject({ heldBack: 1 })
    })

    it('refuses null in a column that the table has as NOT NULL, and says so', async () => {
      const table = await readEventTable(db, measures)
      const columns = table.columns.map((column) => (column.name === 'd' ? { ...column, nullable: false } : column))
      const read = createEventReader({ ...table, columns }, { futureMicros: 0 })
      expect(() => read(event({ d: null }), 0, now)).toThrow(
        'The column "d" of event 0 is null, but the table has it as NOT NULL; send a value.',
      )
    })

    it.each<[string, unknown, string, string | undefined, string]>([
      ['what is no object', 5, 'not_an_object', undefined, 'Event 1 is 5; send an object with "id", "place", "at", "seen", "b"'],
      [
        'an extra column',
        event({ extra: 1 }),
        'unknown_column',
        'extra',
        'Event 1 has "extra", for which the source "measures" has no column',
      ],
      [
        'a missing column',
        { ...event(), d: undefined },
        'missing_column',
        'd',
        'The column "d" of event 1 is missing; send it as float64, or null',
      ],
      ['no event time', event({ at: null }), 'missing_column', 'at', 'The column "at" of event 1 is null'],
      ['no key', event({ id: null, place: null }), 'missing_column', 'id', 'Event 1 has no key ("id", "place")'],
      ['a number in text', event({ i: '5' }), 'wrong_type', 'i', 'The column "i" of event 1 is "5", which is not int32'],
      ['a fraction', event({ l: 1.5 }), 'wrong_type', 'l', 'The column "l" of event 1 is 1.5, which is not int64'],
      ['an integer that is too large', event({ l: 9223372036854775808n }), 'wrong_type', 'l', 'is 9223372036854775808, which is not int64'],
      ['a float32 that is too large', event({ f: 1e39 }), 'wrong_type', 'f', 'is outside the range of float32'],
      ['NaN', event({ d: 'NaN' }), 'wrong_type', 'd', 'The column "d" of event 1 is NaN; send null'],
      ['a vector of another length', event({ v: [1] }), 'wrong_type', 'v', 'is a vector of 1, which is not vector(2)'],
      ['half a character', event({ s: '\ud800' }), 'wrong_type', 's', 'has half a character'],
      ['a zero byte', event({ s: 'a\0' }), 'wrong_type', 's', 'contains a zero byte'],
      ['a time that is none', event({ t: 'noon' }), 'wrong_type', 't', '"noon" is not a time'],
      ['an event time in seconds', event({ at: 1_764_435_600 }), 'wrong_type', 'at', 'Convert seconds or milliseconds to microseconds'],
      ['an event time in milliseconds', event({ at: 1_764_435_600_000 }), 'wrong_type', 'at', 'a time in the early 1970s'],
      ['a day that is none', event({ at: '2026-02-30T00:00:00Z' }), 'wrong_type', 'at', 'is not a time'],
      [
        'an event of the future',
        event({ at: '2026-03-01T12:10:00.000001Z' }),
        'future',
        'at',
        'more than 600 s after now (2026-03-01T12:00:00Z); correct the clock of the sender or of this server',
      ],
      [
        'what is known in the future',
        event({ seen: '2026-03-01T13:00:00Z' }),
        'future',
        'seen',
        'The column "seen" of event 1 is 2026-03-01T13:00:00Z',
      ],
      ['an event at infinity', event({ at: 'infinity' }), 'wrong_type', 'at', 'is not a time'],
      ['a key that is too long', event({ place: 'é'.repeat(600) }), 'key_too_long', 'place', 'at most 1024 are allowed'],
      ['an empty id', event({ _event_id: '' }), 'event_id', '_event_id', 'The id ("_event_id") of event 1 is ""'],
      ['an id that is no text', event({ _event_id: 7 }), 'event_id', '_event_id', 'is 7; send a string of 1 to 512 bytes'],
    ])('refuses %s, by index, column and value, and writes nothing', async (_what, sent, reason, column, message) => {
      const error: unknown = await append([event({ at: noon }), sent]).catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(LockstepError)
      expect(error).toMatchObject({ code: 'INVALID_EVENT', details: { event: 1, reason, ...(column === undefined ? {} : { column }) } })
      expect((error as Error).message).toContain(message)
      expect(await db.query('select 1 from lockstep_source.measures')).toEqual([])
    })

    it('accepts a time as far in the future as allowed', async () => {
      expect((await append([event({ at: '2026-03-01T12:10:00Z' })])).duplicates).toEqual([null])
    })

    it('reports rows that later table constraints refuse, and writes nothing', async () => {
      await db.query('alter table lockstep_source.measures add constraint positive check (i > 0)')
      await expect(append([event({ i: 1 }), event({ i: -1 })])).rejects.toMatchObject({
        code: 'INVALID_ROW',
        message: expect.stringContaining('positive'),
      })
      expect(await db.query('select 1 from lockstep_source.measures')).toEqual([])
    })

    it('refuses a query, and a table that is missing or too old', async () => {
      const refused = async (source: typeof measures) => await readEventTable(db, source).catch((error: unknown) => error)
      expect(await refused({ ...measures, relation: { kind: 'table', table: 'mine' } })).toMatchObject({
        code: 'NOT_PUSHABLE',
        message: expect.stringContaining('"measures". There is no table "mine"'),
      })
      expect(await refused({ ...measures, relation: { kind: 'sql', sql: 'select 1' } })).toMatchObject({ code: 'NOT_PUSHABLE' })
      expect(await refused({ ...measures, name: 'unmade' })).toMatchObject({
        code: 'NOT_PUSHABLE',
        message: expect.stringContaining('Its table does not exist yet'),
      })
      await db.script('alter table lockstep_source.measures drop column _event_id')
      expect(await refused(measures)).toMatchObject({
        code: 'NOT_PUSHABLE',
        message: expect.stringContaining('Apply the definitions again'),
      })
    })

    it('reports a table that changes while the process runs', async () => {
      const table = await readEventTable(db, measures)
      const read = createEventReader(table, { futureMicros: 0 })
      await db.script('alter table lockstep_source.measures drop column i')
      await expect(appendEvents(db, table, [read(event(), 0, now)], { to: 'both' })).rejects.toMatchObject({ code: 'NOT_PUSHABLE' })
    })
  })
}
