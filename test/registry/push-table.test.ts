import { Client } from 'pg'
import { beforeEach, describe, expect, it } from 'vitest'
import { loadCatalog } from '../../registry/catalog.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import type { DefinitionSet } from '../../registry/load/definition-set.ts'
import { planChanges } from '../../registry/changes/plan.ts'
import { source } from '../../registry/define/source.ts'
import { redisStream } from '../../registry/define/stream.ts'
import { t } from '../../registry/define/t.ts'
import { during } from '../opened-database.ts'
import { openRegistry } from './databases.ts'
import { landings, sampleSet } from './sample-set.ts'

const registry = during(() => openRegistry('postgres'))

const plain = `
  create table flights (date timestamptz not null, delay double precision, distance integer, origin text, landed_at timestamptz, note text);
  insert into flights select timestamptz '2001-01-01' + n * interval '1 minute', n, n, 'ATL', null from generate_series(1, 100) n`

/** The sample definitions, whose source of landings is the table `flights`. */
function pushable(push: boolean, table = 'flights'): DefinitionSet {
  const set = sampleSet({ landings: { ...landings, relation: { kind: 'table', table } } })
  const sources = set.sources.map((each) =>
    each.spec.name === 'landings' && push ? { ...each, operational: { ...each.operational, push: true as const } } : each,
  )
  return { ...set, sources }
}

describe("a user's table that accepts pushed events", () => {
  beforeEach(async () => {
    await registry().db.script('drop view if exists seen; drop table if exists parts, roots cascade')
    await registry().reset()
    await registry().db.script(plain)
  })

  it('gets columns and indexes by apply, once, and keeps its rows and writers', async () => {
    const { db } = registry()
    await applyChanges(db, pushable(false))
    const plan = await planChanges(db, pushable(true))
    expect(plan.problems).toEqual([])
    expect(plan.tables).toMatchObject([
      { source: 'landings', relation: '"flights"', kind: 'addColumns', columns: ['_row', '_xid', '_event_id', '_online_only'] },
    ])
    expect(plan.tables[0]?.indexes).toHaveLength(3)
    expect(plan.tables[0]?.rewrites).toMatchObject({ rows: 100, exact: true, bytes: expect.any(Number), seconds: 1 })
    expect(plan.backfills).toMatchObject([{ view: 'airport_delays@1', reason: 'its table records arrivals', rows: 100 }])
    const withoutViews = { ...pushable(true), views: [], onDemand: [], services: [], models: [] }
    expect((await planChanges(db, withoutViews)).backfills).toEqual(plan.backfills)
    expect(plan.notes.join()).toContain('Your table "flights" gets _row, _xid, _event_id, _online_only')
    await applyChanges(db, pushable(true))
    await db.script(`insert into flights values (now(), 1, 1, 'SFO', null, 'mine')`)
    const rows = await db.query(
      `select _row::int, _xid > '0' as "isNew", _event_id, _online_only from flights where _row in (1, 100, 101) order by 1`,
    )
    const row = { _event_id: null, _online_only: false }
    expect(rows).toEqual([
      { _row: 1, isNew: false, ...row },
      { _row: 100, isNew: false, ...row },
      { _row: 101, isNew: true, ...row },
    ])
    expect(await planChanges(db, pushable(true))).toMatchObject({ tables: [], backfills: [], problems: [] })
  })

  it('gets no second index where it has one that finds rows by key and time', async () => {
    const { db } = registry()
    await db.script('create index on flights (origin collate "C", greatest(date, landed_at)) where distance > 5')
    expect((await planChanges(db, pushable(true))).tables[0]?.indexes).toHaveLength(3)
    await db.script('alter table flights alter origin type text collate "C"')
    await db.script('create index mine on flights (origin, greatest(date, landed_at), distance) include (delay)')
    const plan = await planChanges(db, pushable(true))
    expect(plan.tables[0]?.indexes).toEqual([expect.stringContaining('arrival'), expect.stringContaining('event')])
    await applyChanges(db, pushable(true))
    expect((await planChanges(db, pushable(true))).tables).toEqual([])
  })

  it('accepts events only as long as the source says push: true', async () => {
    const { db } = registry()
    await applyChanges(db, pushable(false))
    const refused = { code: 'NOT_PUSHABLE', message: expect.stringContaining('Add push: true to the source and apply it') }
    const before = await loadCatalog(db)
    expect(() => before.pushSource('landings')).toThrow(expect.objectContaining(refused))
    await applyChanges(db, pushable(true))
    const during = await loadCatalog(db)
    expect(during.pushSource('landings').name).toBe('landings')
    expect(during.onlineReaders(during.source('landings')).map(({ id }) => id)).toEqual(['airport_delays@1'])
    await applyChanges(db, pushable(false))
    const after = await loadCatalog(db)
    expect([after.acceptsEvents('landings'), after.acceptsEvents('weather')]).toEqual([false, true])
  })

  it.each([
    ['a view', 'create view seen as select * from flights', 'seen', 'is a view: it cannot get the columns'],
    [
      'a partitioned table',
      `create table parts (like flights) partition by list (origin)`,
      'parts',
      'is partitioned: PostgreSQL cannot keep event ids unique',
    ],
    [
      'a partition',
      `create table roots (like flights) partition by list (origin); create table parts partition of roots default`,
      'parts',
      'is part of a table hierarchy',
    ],
    [
      'a column that no event fills',
      'alter table flights alter note set not null',
      'flights',
      '"note", which is NOT NULL and which no event fills',
    ],
    ['a date as its event time', 'alter table flights alter date type date', 'flights', '"date" as date, which would cut off'],
    [
      'whole seconds as its known time',
      'alter table flights alter landed_at type timestamptz(0)',
      'flights',
      'Change its type to timestamptz',
    ],
    [
      'another column of that name',
      'alter table flights add _event_id bigint',
      'flights',
      '"_event_id" as bigint, a name that pushed events need',
    ],
    [
      'a computed known time',
      `alter table flights drop landed_at, add landed_at timestamptz generated always as (date) stored`,
      'flights',
      'as a generated column, but events bring this time',
    ],
  ])('is refused by plan if it is or has %s', async (_what, statement, table, why) => {
    const { db } = registry()
    await db.script(statement.startsWith('alter') ? `update flights set note = ''; ${statement}` : statement)
    const { problems } = await planChanges(db, pushable(true, table))
    expect(problems).toMatchObject([{ code: 'NOT_PUSHABLE', message: expect.stringContaining(why) }])
  })

  it('is refused if a column of times is a date, in words about that column', async () => {
    const { db } = registry()
    await db.script('alter table flights add seen_on date')
    const columns = [...landings.columns, { name: 'seen_on', type: { kind: 'timestamp' } as const }]
    const set = pushable(true)
    const sources = set.sources.map((each) => (each.spec.name === 'landings' ? { ...each, spec: { ...each.spec, columns } } : each))
    const { problems } = await planChanges(db, { ...set, sources })
    const why = '"seen_on" as date, which would cut off a part of the times that events have in it'
    expect(problems).toMatchObject([{ code: 'NOT_PUSHABLE', message: expect.stringContaining(why) }])
  })

  it('is planned by another role, which gets the statements for its owner', async () => {
    const { db } = registry()
    const role = `planner_${process.pid}`
    await db.script(`
      create role ${role}; grant usage on schema lockstep, lockstep_source to ${role};
      grant select on all tables in schema lockstep to ${role}; grant select on flights to ${role}`)
    try {
      const planned = (set: DefinitionSet) =>
        db.kysely.transaction().execute(async (transaction) => {
          const { sql } = await import('kysely')
          await sql.raw(`set local role ${role}`).execute(transaction)
          return await planChanges({ ...db, kysely: transaction }, set)
        })
      const plan = await planned(pushable(true))
      expect(plan.problems).toMatchObject([
        {
          code: 'NOT_PUSHABLE',
          message: expect.stringMatching(/belongs to the role "\w+".*alter table "flights" add column _row .*create unique index/),
        },
      ])
      const relation = { kind: 'sql', sql: 'select * from lockstep_source.weather' } as const
      const { problems } = await planned(sampleSet({ landings: { ...landings, relation } }))
      expect(problems).toMatchObject([
        { code: 'SOURCE_MISSING', message: expect.stringMatching(/permission denied.*apply the file without this source first/) },
      ])
    } finally {
      await db.script(`drop owned by ${role}; drop role ${role}`)
    }
  })

  it('makes apply give up while another transaction uses it', async () => {
    const { db, url } = registry()
    const other = new Client({ connectionString: url ?? '' })
    await other.connect()
    await other.query(`begin; insert into flights (date) values (now())`)
    await expect(applyChanges(db, pushable(true), { lockTimeoutMs: 20 })).rejects.toMatchObject({
      code: 'BUSY',
      message: expect.stringContaining('The table "flights" cannot be changed: another transaction used it'),
    })
    await other.query('commit')
    await other.end()
    expect(await applyChanges(db, pushable(true))).toMatchObject({ changed: true })
  })
  it('makes plan give up while an apply creates the tables that a query reads', async () => {
    const { db } = registry()
    const columns = 'station origin, at date, at landed_at, temperature delay, 1 distance'
    const relation = { kind: 'sql', sql: `select ${columns} from lockstep_source.weather` } as const
    const set = sampleSet({ landings: { ...landings, relation } })
    const [created, ended] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const beforeCommit = async () => {
      created.resolve()
      await ended.promise
    }
    const applying = applyChanges(db, set, { beforeCommit })
    await Promise.race([created.promise, applying])
    await expect(planChanges(db, set)).rejects.toMatchObject({
      code: 'BUSY',
      message: expect.stringMatching(/^The source "landings" cannot be read: for 2 s, .*"lockstep apply" may be running\./),
    })
    ended.resolve()
    expect(await applying).toMatchObject({ changed: true })
    expect(await planChanges(db, set)).toMatchObject({ problems: [] })
  })
})

describe('a source with push', () => {
  const body = { key: { id: 'id' }, eventTime: 'at', columns: { x: t.float64 } }

  it('can be fed by a stream', () => {
    const mine = source('mine', { ...body, table: 'mine', push: true, stream: redisStream('mine') })
    expect([mine.push, mine.stream?.stream]).toEqual([true, 'mine'])
    expect(() => source('mine', { ...body, table: 'mine', stream: redisStream('mine') })).toThrow('Add push: true, or remove "table"')
  })

  it.each<[Parameters<typeof source>[1], string]>([
    [{ ...body, push: true }, 'always accepts pushed events'],
    [{ ...body, sql: 'select 1', push: true }, 'is a query, into which no events can be pushed'],
    [{ ...body, table: 'mine', push: true, cursor: { column: 'at', overlap: '1m' } }, 'is not needed'],
    [{ ...body, table: 'mine', push: true, columns: { _xid: t.int64 } }, 'a name that Lockstep reserves'],
  ])('is refused where it cannot mean anything: %j', (wrong, why) => {
    expect(() => source('mine', wrong)).toThrow(why)
  })
})
