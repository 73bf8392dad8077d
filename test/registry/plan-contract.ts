import { sql } from 'kysely'
import { randomUUID } from 'node:crypto'
import { beforeEach, describe, expect, it } from 'vitest'
import type { LockstepError } from '../../kernel/errors.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import type { ChangePlan } from '../../registry/changes/change-plan.ts'
import { differenceText } from '../../registry/changes/diff.ts'
import { checkOf } from '../../registry/define/check-options.ts'
import { monitor } from '../../registry/define/monitor.ts'
import { planChanges } from '../../registry/changes/plan.ts'
import { planSources } from '../../registry/changes/plan-sources.ts'
import type { TestRegistry } from './databases.ts'
import type { SampleParts } from './sample-set.ts'
import { flightsTable, landings, sampleSet, weather, windowFeature } from './sample-set.ts'

const statuses = (plan: ChangePlan): Record<string, string> =>
  Object.fromEntries(plan.changes.map((change) => [`${change.kind} ${change.label}`, change.status]))

export const only = (problems: readonly LockstepError[]): LockstepError => {
  expect(problems.map((problem) => problem.message)).toHaveLength(1)
  return problems[0] as LockstepError
}

/** A view that needs no column of its source. */
const counted: Partial<SampleParts> = {
  delays: { features: [windowFeature('landed1h', 'count', 1)], derive: [], code: null },
  service: { members: [{ kind: 'view', use: { view: 'airport_delays@1', alias: null, key: ['airport'] }, features: ['landed1h'] }] },
}

/** The contract of `planChanges`, on any database. */
export function planContract(opened: () => TestRegistry): void {
  describe('a plan', () => {
    let registry: TestRegistry

    beforeEach(async () => {
      registry = opened()
      await registry.reset()
      await registry.db.script(flightsTable)
    })

    it('creates an empty registry with the missing table, and lists the backfills', async () => {
      const plan = await planChanges(registry.db, sampleSet())
      expect(plan.problems).toEqual([])
      expect(new Set(Object.values(statuses(plan)))).toEqual(new Set(['added']))
      expect(Object.keys(statuses(plan))).toEqual([
        'entity airport',
        'source landings',
        'source weather',
        'view airport_delays@1',
        'view airport_weather@1',
        'onDemand flight_context@1',
        'service flight_features@1',
        'model delay',
      ])
      expect(plan.tables).toMatchObject([{ source: 'weather', kind: 'create', columns: ['station', 'at', 'reported_at', 'temperature'] }])
      const cost = { rows: 100, exact: true, bytes: expect.any(Number) as number, seconds: 1 }
      expect(plan.backfills).toEqual([{ view: 'airport_delays@1', reason: 'the view is new', ...cost }])
      expect(plan.notes).toEqual([])
    })

    it('refuses a monitor over a feature, an output or a training set that does not exist', async () => {
      const set = sampleSet()
      const { spec } = monitor('inputs', {
        checks: [{ kind: 'clock' }],
      })
      const checks = [
        checkOf({ kind: 'nulls', columns: ['mean_dely'] }, 'A monitor'),
        checkOf({ kind: 'drift', baseline: { dataset: '3f0c2a' } }, 'A monitor'),
        checkOf({ kind: 'predictions', columns: ['score'] }, 'A monitor'),
        checkOf({ kind: 'quality' }, 'A monitor'),
      ]
      const watching = { ...spec, target: { kind: 'model', model: 'delay' } as const, checks }
      const { problems } = await planChanges(registry.db, { ...set, monitors: [{ spec: watching, fingerprint: 'x', operational: {} }] })
      expect(problems.map(({ message }) => message)).toEqual([
        expect.stringMatching(/^The monitor "inputs" watches the feature "mean_dely" in its check "nulls", which the model "delay" does/),
        'The monitor "inputs" compares with the training set "3f0c2a" in its check "drift", which does not exist; "lockstep dataset list" lists them.',
        expect.stringContaining('watches the output "score" in its check "predictions"'),
        'The monitor "inputs" needs an outcome in its check "quality"; the model "delay" has none; declare one.',
      ])
    })

    it('reports the maximum bytes per entity of a windowed view, and its cap', async () => {
      const { states } = await planChanges(registry.db, sampleSet({ delaysOperational: { online: true, maxStateBytes: 64_000 } }))
      expect(states).toMatchObject([{ view: 'airport_delays@1', maxStateBytes: 64_000, texts: 0, pending: { most: 10_000 } }])
      const [{ bytes, tiles, latest, lifetime, pending } = {} as never] = states
      expect(tiles.map((level) => level.hopMicros)).toEqual([300_000_000])
      const parts = latest.bytes + lifetime.bytes + tiles.reduce((sum, level) => sum + level.tiles * level.each.bytes, 0)
      expect(bytes - parts - pending.most * pending.each.bytes).toBeLessThan(20)
      await registry.db.script('alter table flights drop column _row, add column note text')
      const columns = [...landings.columns, { name: 'note', type: { kind: 'string' } } as const]
      const [size] = (await planChanges(registry.db, sampleSet({ landings: { ...landings, columns } }))).states
      expect(size?.texts).toBeGreaterThan(10_000) // its rows' ties are their columns
    })

    it('warns that a cursor scan is best effort, and refuses a cursor that is no time', async () => {
      await registry.db.script('alter table flights drop column _xid')
      const cursor = { column: 'landed_at', overlapMicros: 600_000_000, reconcileMicros: 86_400_000_000 }
      const withCursor = (column: string) => {
        const set = sampleSet()
        const sources = set.sources.map((each) =>
          each.spec.name === 'landings' ? { ...each, operational: { cursor: { ...cursor, column } } } : each,
        )
        return planChanges(registry.db, { ...set, sources })
      }
      const plan = await withCursor('landed_at')
      expect(plan.problems).toEqual([])
      expect(plan.notes[0]).toContain(
        '"landings" is scanned by "landed_at", which is best effort: a row that is committed more than 10 min after',
      )
      const advised = /This makes runs fast: (create index on "flights" \("landed_at"\);) (create index on "flights" \("origin" .*\);)$/
      const indexes = advised.exec(plan.notes[0] ?? '')?.slice(1) ?? []
      await registry.db.script(indexes.join(' '))
      expect([indexes.length, (await withCursor('landed_at')).notes[0]]).toEqual([2, expect.stringMatching(/every 1 d\.$/)])
      expect(only((await withCursor('origin')).problems)).toMatchObject({ code: 'SOURCE_TYPE_MISMATCH' })
      expect(only((await withCursor('gone')).problems)).toMatchObject({ code: 'UNKNOWN_COLUMN' })
    })

    it('writes nothing', async () => {
      await planChanges(registry.db, sampleSet())
      expect(await registry.db.query('select 1 from lockstep.definitions')).toEqual([])
      expect(await registry.db.query(`select to_regclass('lockstep_source.weather') as found`)).toEqual([{ found: null }])
    })

    it('finds an applied file unchanged', async () => {
      await applyChanges(registry.db, sampleSet())
      const plan = await planChanges(registry.db, sampleSet())
      expect(new Set(Object.values(statuses(plan)))).toEqual(new Set(['unchanged']))
      expect([plan.problems, plan.tables, plan.backfills, plan.breaks]).toEqual([[], [], [], []])
      expect(plan.revision).toBe(1)
    })

    it('lists changed operational fields, and a backfill for a view that goes online', async () => {
      await applyChanges(registry.db, sampleSet({ delaysOperational: { online: false, owner: 'ops' } }))
      const plan = await planChanges(registry.db, sampleSet())
      expect(plan.problems).toEqual([])
      const change = plan.changes.find((each) => each.label === 'airport_delays@1')
      expect(change?.status).toBe('changed')
      expect(change?.differences.map(differenceText)).toEqual(['online was false, now true', 'owner was removed (it was "ops")'])
      expect(plan.backfills).toMatchObject([{ view: 'airport_delays@1', reason: 'the view becomes online' }])
    })

    it('names each changed field under an unchanged version, and the version to add', async () => {
      await applyChanges(registry.db, sampleSet())
      const features = [windowFeature('landed1h', 'count', 2), windowFeature('meanDelay6h', 'mean', 6, { default: 0 })]
      const plan = await planChanges(
        registry.db,
        sampleSet({ delays: { features }, service: { members: [{ kind: 'onDemand', view: 'flight_context@1', features: ['hour'] }] } }),
      )
      expect(statuses(plan)).toMatchObject({
        'view airport_delays@1': 'conflict',
        'onDemand flight_context@1': 'conflict',
        'service flight_features@1': 'conflict',
      })
      const [view, context] = plan.problems
      expect(view?.code).toBe('VERSION_CHANGED')
      expect(view?.message).toContain('features.landed1h.window was 1h, now 2h')
      expect(view?.message).toContain('features.lastDelay was removed')
      expect(view?.message).toContain('"version: 2"')
      expect(context?.message).toContain('its view airport_delays@1 was as applied before, now changed')
      expect(plan.breaks).toContainEqual({ cause: 'feature view "airport_delays@1"', broken: 'on-demand view "flight_context@1"' })
      expect(plan.breaks).toContainEqual({ cause: 'feature view "airport_delays@1"', broken: 'model "delay"' })
      expect(plan.backfills).toMatchObject([{ view: 'airport_delays@2', reason: 'its version must be raised', rows: 100 }])
    })

    it('shows the code that changed under its version', async () => {
      await applyChanges(registry.db, sampleSet())
      const plan = await planChanges(
        registry.db,
        sampleSet({ transform: '(row) => ({ late: row.delay === null ? null : row.delay > 20 ? 1 : 0 })' }),
      )
      const problem = plan.problems[0]
      expect(problem?.code).toBe('VERSION_CHANGED')
      expect(problem?.message).toMatch(/transform was .*row\.delay > 15.*, now .*row\.delay > 20/)
    })

    it('treats code printed by another bundler as equal, and all that refers to it', async () => {
      await applyChanges(registry.db, sampleSet())
      const plan = await planChanges(registry.db, sampleSet({ transform: '(row)=>({late:row.delay===null?null:row.delay>15?1:0})' }))
      expect(plan.problems).toEqual([])
      expect(new Set(Object.values(statuses(plan)))).toEqual(new Set(['unchanged']))
    })

    it('adds a new version, and keeps the old one that the file lacks', async () => {
      await applyChanges(registry.db, sampleSet())
      const plan = await planChanges(registry.db, sampleSet({ delays: { version: 2 }, context: { version: 2 }, service: { version: 2 } }))
      expect(plan.problems).toEqual([])
      expect(statuses(plan)).toMatchObject({
        'view airport_delays@2': 'added',
        'service flight_features@2': 'added',
        'model delay': 'changed',
        'view airport_delays@1': 'absent',
        'service flight_features@1': 'absent',
        'view airport_weather@1': 'unchanged',
      })
      expect(plan.notes).toContain(
        'Requests for "flight_features" without a version use "flight_features@1" until the online store holds all views of "flight_features@2", and then that one. To prevent that, name the version in requests.',
      )
      const pruned = await planChanges(
        registry.db,
        sampleSet({ delays: { version: 2 }, context: { version: 2 }, service: { version: 2 } }),
        {
          prune: true,
        },
      )
      expect(pruned.notes).toContain(
        'Requests for "flight_features" without a version are refused (NOT_READY) until the online store holds all views of "flight_features@2", because "flight_features@1" is removed. To prevent that, prune once the views are complete.',
      )
    })

    it('wants a new version where the code of a view could read a new column, or a column goes', async () => {
      await applyChanges(registry.db, sampleSet())
      const longer = { ...landings, columns: [...landings.columns, { name: 'origin', type: { kind: 'string' } as const }] }
      const { problems } = await planChanges(registry.db, sampleSet({ landings: longer }))
      expect(problems[0]?.message).toContain('source.columns.origin is new (type string)')
      // nor may a column go that another view or a training set may read
      const drier = { ...weather, columns: [] }
      const { problems: gone } = await planChanges(registry.db, sampleSet({ weather: drier }))
      expect(gone.map(({ code }) => code)).toContain('VERSION_CHANGED')
    })

    it('notes a column that goes although a view outside the file reads it', async () => {
      await applyChanges(registry.db, sampleSet())
      const set = sampleSet({ weather: { ...weather, columns: [] } })
      const { notes, problems } = await planChanges(registry.db, { ...set, views: set.views.slice(0, 1) })
      expect(problems).toEqual([])
      const note = 'The source "weather" loses the column "temperature", but the feature view "airport_weather@1" stays in the registry'
      expect(notes).toEqual([expect.stringContaining(note)])
      const kept = sampleSet()
      expect((await planChanges(registry.db, { ...kept, views: kept.views.slice(0, 1) })).notes).toEqual([])
    })

    it('lists the columns that an existing Lockstep table will gain, and keeps the version of its view', async () => {
      await applyChanges(registry.db, sampleSet())
      const wetter = { ...weather, columns: [...weather.columns, { name: 'humidity', type: { kind: 'float32' } as const }] }
      const plan = await planChanges(registry.db, sampleSet({ weather: wetter }))
      expect(plan.problems).toEqual([])
      expect(statuses(plan)).toMatchObject({ 'source weather': 'changed', 'view airport_weather@1': 'unchanged' })
      expect(plan.tables).toMatchObject([{ source: 'weather', kind: 'addColumns', columns: ['humidity'] }])
      expect(plan.tables[0]?.statements[0]).toBe('alter table lockstep_source."weather" add column "humidity" real')
    })

    it('refuses a missing table, naming source and table', async () => {
      const problem = only(
        (await planChanges(registry.db, sampleSet({ landings: { ...landings, relation: { kind: 'table', table: 'public.flihgts' } } })))
          .problems,
      )
      expect(problem.code).toBe('SOURCE_MISSING')
      expect(problem.message).toContain('"landings"')
      expect(problem.message).toContain('"public"."flihgts"')
    })

    it("reports an invalid query with the database's own message, about the query only", async () => {
      for (const [end, said] of [
        ['/* open', 'unterminated /* comment at or near "/* open"'],
        ["where origin = 'open", `unterminated quoted string at or near "'open"`],
        ['where (', 'syntax error at end of input'],
      ] as const) {
        const relation = { kind: 'sql', sql: `select * from flights ${end}` } as const
        const problem = only((await planChanges(registry.db, sampleSet({ landings: { ...landings, relation } }))).problems)
        expect([problem.code, problem.message]).toEqual([
          'DEFINITIONS_INVALID',
          `The query of the source "landings" cannot be read: ${said}. Correct its "sql".`,
        ])
      }
    })

    it('refuses an unknown column, naming source, column and the nearest', async () => {
      const columns = [{ name: 'dealy', type: { kind: 'float64' } as const }, ...landings.columns.slice(1)]
      const problems = (await planChanges(registry.db, sampleSet({ ...counted, landings: { ...landings, columns, known: 'landedat' } })))
        .problems
      expect(problems.map((problem) => problem.code)).toEqual(['UNKNOWN_COLUMN', 'UNKNOWN_COLUMN'])
      expect(problems[0]?.message).toContain('"dealy"')
      expect(problems[0]?.message).toContain('Did you mean "delay"?')
      expect(problems[1]?.message).toContain('Did you mean "landed_at"?')
    })

    it('refuses columns, times and keys of types that cannot be read', async () => {
      const columns = [
        { name: 'delay', type: { kind: 'int32' } as const },
        { name: 'distance', type: { kind: 'int64' } as const },
      ]
      const key = [{ part: 'airport', column: 'distance' }]
      const problems = (await planChanges(registry.db, sampleSet({ landings: { ...landings, columns, eventTime: 'origin', key } })))
        .problems
      expect(problems.map((problem) => [problem.code, problem.details['column']])).toEqual([
        ['SOURCE_TYPE_MISMATCH', 'delay'],
        ['SOURCE_TYPE_MISMATCH', 'origin'],
        ['SOURCE_TYPE_MISMATCH', 'distance'],
      ])
      expect(problems[0]?.message).toContain('double precision')
      expect(problems[0]?.message).toContain('declare it as float64')
      expect(problems[1]?.message).toContain(
        "the database has it as text; change the column's type (timestamp, timestamptz, date), or cast it",
      )
      expect(problems[2]?.message).toContain('the entity "airport"')
    })

    it('reads every type that fits, domains and enumerations too', async () => {
      await registry.db.script(`
      drop table if exists things; drop domain if exists code; drop type if exists size;
      create domain code as varchar(3); create type size as enum ('S', 'L');
      create table things (airport code, at date, b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric(9,2), u uuid, c char(2), s size, ts timestamp, tz timestamptz, v real[],
        _row bigint generated always as identity, _xid xid8 not null default pg_current_xact_id());
    `)
      const type = (name: string, kind: 'bool' | 'int32' | 'int64' | 'float32' | 'float64' | 'string' | 'timestamp') => ({
        name,
        type: { kind },
      })
      const columns = [
        type('b', 'bool'),
        type('i2', 'int32'),
        type('i4', 'int32'),
        type('i8', 'int64'),
        type('f4', 'float32'),
        type('f8', 'float64'),
        type('n', 'float64'),
        type('u', 'string'),
        type('c', 'string'),
        type('s', 'string'),
        type('ts', 'timestamp'),
        type('tz', 'timestamp'),
        { name: 'v', type: { kind: 'vector', length: 4 } as const },
      ]
      const things = {
        ...landings,
        relation: { kind: 'table', table: 'things' } as const,
        key: [{ part: 'airport', column: 'airport' }],
        eventTime: 'at',
        known: null,
        columns,
      }
      expect((await planChanges(registry.db, sampleSet({ ...counted, landings: things }))).problems).toEqual([])
      const asText = { ...things, columns: [type('i8', 'int32'), type('f8', 'float32'), type('v', 'string')] }
      expect((await planChanges(registry.db, sampleSet({ ...counted, landings: asText }))).problems.map((problem) => problem.code)).toEqual(
        Array(3).fill('SOURCE_TYPE_MISMATCH'),
      )
    })

    it.each([
      ['', '_row, drop column _xid', 'no "_row" and no "_xid"'],
      ['', '_xid', 'no "_xid"'],
      ['_row integer', '_row', '"_row" as integer instead of bigint'],
      ['_row integer generated always as identity', '_row, drop column _xid', '"_row" as integer instead of bigint and no "_xid"'],
      [
        '_row text, add column _xid bigint',
        '_row, drop column _xid',
        '"_row" as text instead of bigint and "_xid" as bigint instead of xid8',
      ],
    ])('warns that scans without arrival are best effort, with a remedy: %s', async (added, dropped, what) => {
      const add = added === '' ? '' : `alter table flights add column ${added};`
      await registry.db.script(`alter table flights drop column ${dropped}; ${add}`)
      const { notes } = await planChanges(registry.db, sampleSet())
      expect(notes).toEqual([expect.stringContaining('best effort')])
      expect(notes[0]).toContain(`has ${what}, so Lockstep cannot find new rows`)
      expect(notes[0]).toMatch(/; create index on "flights" \(_xid\); create index on "flights" \("origin" collate "C", .*\);$/)
      await registry.db.script(/To change that: (.*)$/.exec(notes[0] ?? '')?.[1] ?? '')
      expect((await planChanges(registry.db, sampleSet())).notes).toEqual([])
      // a training set that was made before sees the rows that were there
      await registry.db.script(`insert into flights (origin, date) values ('ATL', now())`)
      const [found] = await registry.db.query(`select count(*) filter (where _xid = '0')::int as before, count(*)::int as all from flights`)
      expect(found).toEqual({ before: what.includes('_xid') ? 100 : 0, all: 101 })
    })

    it('says that a view of the database cannot get columns for arrival', async () => {
      await registry.db.script('create view some_flights as select origin, date, landed_at, delay, distance from flights')
      const some = { ...landings, relation: { kind: 'table', table: 'some_flights' } as const }
      const { notes } = await planChanges(registry.db, sampleSet({ ...counted, landings: some }))
      await registry.db.script('drop view some_flights')
      expect(notes).toEqual([expect.stringContaining('which is no table and does not return "_row" (bigint) and "_xid" (xid8)')])
      expect(notes[0]).not.toContain('alter table')
    })

    it('warns of new rows that arrive without a transaction, until the default is there or a trigger may set it', async () => {
      const notes = async (): Promise<readonly string[]> => (await planChanges(registry.db, sampleSet())).notes
      await registry.db.script(`alter table flights alter column _xid set default '0'`)
      const [note = ''] = await notes()
      expect(note).toContain('never reach the online store')
      await registry.db.script(/(alter table .*?;)/.exec(note)?.[1] ?? '')
      expect(await notes()).toEqual([])
      await registry.db.script(`
        alter table flights alter column _xid drop default;
        create function arrive() returns trigger language plpgsql as 'begin new._xid := pg_current_xact_id(); return new; end';
        create trigger arrive before insert on flights for each row execute function arrive()`)
      expect(await notes()).toEqual([])
      await registry.db.script('drop function arrive cascade')
    })

    it('warns of row-level security that applies to its role', async () => {
      const role = `reader_${randomUUID().slice(0, 8)}`
      await registry.db.script(`create role ${role}; grant select on flights to ${role}; alter table flights enable row level security`)
      try {
        const { notes } = await registry.db.kysely.transaction().execute(async (transaction) => {
          await sql.raw(`set local role ${role}`).execute(transaction)
          return await planSources(transaction, sampleSet(), [])
        })
        expect(notes).toEqual([expect.stringContaining(`Row-level security of the table "flights" applies to the role "${role}"`)])
        expect((await planChanges(registry.db, sampleSet())).notes).toEqual([])
      } finally {
        await registry.db.script(`alter table flights disable row level security; drop owned by ${role}; drop role ${role}`)
      }
    })

    it('advises no index that the table has, also on columns of its own collation', async () => {
      await registry.db.script('alter table flights drop column _xid')
      const advised = async () => (await planChanges(registry.db, sampleSet())).notes[0]?.match(/create index on "flights" [^;]*;/g) ?? []
      const xid = 'create index on "flights" (_xid);'
      const both = [xid, expect.stringMatching(/^create index on "flights" \("origin" collate "C", .*\);$/)]
      expect(await advised()).toEqual(both)
      const visible = /\((.*)\);$/.exec((await advised())[1] ?? '')?.[1] ?? ''
      for (const unfit of [`${visible} desc`, visible.replace(' collate "C"', ' collate "POSIX"')]) {
        await registry.db.script(`create index unfit on flights (${unfit})`)
        expect(await advised(), unfit).toEqual(both)
        await registry.db.script('drop index unfit')
      }
      for (const own of ['', 'alter table flights alter origin type text collate "C";']) {
        await registry.db.script(`${own} create index fit on flights (${visible}, distance)`)
        expect(await advised(), own).toEqual([xid])
        await registry.db.script('drop index fit')
      }
    })

    it('describes a query without running it', async () => {
      await registry.db.script(`
      drop function if exists boom;
      create function boom() returns float8 language plpgsql volatile as $$ begin raise exception 'this query was run'; end $$;
    `)
      const sql = `select origin, date, landed_at, boom() as delay, distance from flights; -- the flights`
      const queried = (text: string) => sampleSet({ landings: { ...landings, relation: { kind: 'sql', sql: text } } })
      const plan = await planChanges(registry.db, queried(sql.replace('; -- the flights', ';')))
      expect(plan.problems).toEqual([])
      expect(plan.notes[0]).toContain('"landings" is a query')
      expect(plan.backfills[0]?.exact).toBe(false)
      const mistyped = await planChanges(
        registry.db,
        queried('select origin, date, landed_at, delay::text as delay, distance from flights -- trailing'),
      )
      expect(only(mistyped.problems).message).toContain('"delay"')
    })

    it("reports what is wrong with a query in the database's words", async () => {
      const planned = async (text: string): Promise<LockstepError> =>
        only((await planChanges(registry.db, sampleSet({ landings: { ...landings, relation: { kind: 'sql', sql: text } } }))).problems)
      const missing = await planned('select * from flihgts')
      expect([missing.code, missing.message]).toEqual(['SOURCE_MISSING', expect.stringContaining('flihgts')])
      const broken = await planned('selct 1')
      expect([broken.code, broken.message]).toEqual(['DEFINITIONS_INVALID', expect.stringContaining('"landings"')])
      for (const text of ['select * from flights for update', 'select * from flights where delay > $1']) {
        expect(await planned(text)).toMatchObject({ code: 'DEFINITIONS_INVALID', message: expect.stringContaining('"landings"') })
        const set = sampleSet({ landings: { ...landings, relation: { kind: 'sql', sql: text } } })
        await expect(applyChanges(registry.db, set)).rejects.toMatchObject({ code: 'DEFINITIONS_INVALID' })
      }
    })

    it('refuses references to unknown names, naming the nearest', async () => {
      const set = sampleSet({
        model: { service: 'flight_feature@1' },
        service: { members: [{ kind: 'view', use: { view: 'airport_delays@1', alias: null, key: ['airport'] }, features: ['landed2h'] }] },
      })
      const problems = (await planChanges(registry.db, set)).problems
      expect(problems.map((problem) => problem.code)).toEqual(['UNKNOWN_FEATURE', 'UNKNOWN_DEFINITION'])
      expect(problems[0]?.message).toContain('Did you mean "landed1h"?')
      expect(problems[1]?.message).toContain('Did you mean "flight_features@1"?')
    })

    it('refuses what would not compile in a server', async () => {
      const use = { view: 'airport_delays@1', alias: null, key: ['airport'] } as const
      const member = { kind: 'view', use, features: ['landed1h'] } as const
      const twice = await planChanges(registry.db, sampleSet({ service: { members: [member, member] } }))
      expect([only(twice.problems).code, only(twice.problems).message]).toEqual([
        'FEATURE_NAME_CLASH',
        expect.stringContaining('"landed1h"'),
      ])
      const broken = await planChanges(registry.db, sampleSet({ transform: 'not code (' }))
      expect([only(broken.problems).code, only(broken.problems).message]).toEqual([
        'TRANSFORM_FAILED',
        expect.stringContaining('"airport_delays@1"'),
      ])
      const alone = sampleSet({ service: { members: [] } })
      const code = new Map([...alone.code].map(([key, text]) => [key, key === alone.onDemand[0]?.spec.code ? 'not code (' : text]))
      expect(only((await planChanges(registry.db, { ...alone, code })).problems).message).toContain('"flight_context@1"')
    })

    it('refuses an invalid table name', async () => {
      const planned = await planChanges(
        registry.db,
        sampleSet({ landings: { ...landings, relation: { kind: 'table', table: 'a.b.c.d' } } }),
      )
      expect([only(planned.problems).code, only(planned.problems).message]).toEqual([
        'DEFINITIONS_INVALID',
        expect.stringContaining('"landings"'),
      ])
    })
  })
}
