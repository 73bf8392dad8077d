import { beforeEach, describe, expect, it } from 'vitest'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import type { DefinitionSet } from '../../registry/load/definition-set.ts'
import { planChanges } from '../../registry/changes/plan.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { TestRegistry } from './databases.ts'
import { only } from './plan-contract.ts'
import { airport, flightsTable, sampleSet, weather, windowFeature } from './sample-set.ts'

/** The contract of `planChanges` for the tables of sources, on any database. */
export function planTablesContract(opened: () => TestRegistry): void {
  describe('the tables of a plan', () => {
    let registry: TestRegistry

    beforeEach(async () => {
      registry = opened()
      await registry.reset()
      await registry.db.script(flightsTable)
    })

    it('creates the table of a source that no view reads if entities agree on the types of its key', async () => {
      const set = sampleSet()
      const unread = { ...set, views: set.views.filter(({ spec }) => spec.name !== 'airport_weather') }
      const tables = async (keys: readonly (typeof airport)[]) => {
        const entities = keys.map((spec) => ({ spec, fingerprint: spec.name, operational: {} }))
        return await planChanges(registry.db, { ...unread, entities })
      }
      const columns = ['station', 'at', 'reported_at', 'temperature']
      expect((await tables([airport])).tables).toMatchObject([{ source: 'weather', kind: 'create', columns }])
      const other = { name: 'other', key: [{ name: 'airport', type: { kind: 'int32' } as const }] }
      for (const keys of [[], [airport, other]]) {
        const plan = await tables(keys)
        expect([plan.problems, plan.tables]).toEqual([[], []])
        expect(plan.notes[0]).toMatch(/^The source "weather" gets no table, .*"station".* declare that entity, or add the key columns/)
      }
    })

    it('refuses a source whose views do not type a key column, and says where to add it', async () => {
      const place = { ...weather, key: [...weather.key, { part: 'town', column: 'town' }] }
      const { problems } = await planChanges(registry.db, sampleSet({ weather: place }))
      expect([only(problems).code, only(problems).message]).toEqual(['DEFINITIONS_INVALID', expect.stringContaining('"town"')])
      const typed = { ...place, columns: [...place.columns, { name: 'town', type: { kind: 'int32' } as const }] }
      const plan = await planChanges(registry.db, sampleSet({ weather: typed }))
      expect([plan.problems, plan.tables.map(({ kind }) => kind)]).toEqual([[], ['create']])
    })

    it('creates the table for views of other files too, and an index for a new entity', async () => {
      const place = { ...weather, key: [...weather.key, { part: 'town', column: 'town' }] }
      const set = sampleSet({ weather: place })
      const view = set.views.find(({ spec }) => spec.name === 'airport_weather')
      if (view === undefined) throw new Error('the sample lacks its view')
      const town = { name: 'town', key: [{ name: 'town', type: { kind: 'int32' } as const }] }
      const other = { ...view, spec: { ...view.spec, name: 'town_weather', entity: town } }
      const both = await planChanges(registry.db, { ...set, views: [...set.views, other] })
      expect(both.tables).toMatchObject([{ kind: 'create', columns: ['station', 'town', 'at', 'reported_at', 'temperature'] }])
      expect(both.tables[0]?.indexes).toEqual([
        expect.stringMatching(/^weather_visible_/),
        expect.stringMatching(/^weather_visible_/),
        expect.stringMatching(/^weather_arrival_/),
        expect.stringMatching(/^weather_event_/),
      ])

      await applyChanges(registry.db, sampleSet())
      const empty = { ...set, entities: [], services: [], onDemand: [], models: [], code: new Map<string, string>() }
      const added = { ...empty, sources: set.sources.slice(1), views: [other] }
      const plan = await planChanges(registry.db, added)
      expect([plan.problems, plan.notes]).toEqual([[], []])
      expect(plan.tables).toMatchObject([{ source: 'weather', kind: 'addColumns', columns: ['town'] }])
      expect(plan.tables[0]?.indexes).toEqual([expect.stringMatching(/^weather_visible_/)])
      await applyChanges(registry.db, added)

      const again = { ...view.spec, name: 'again', entity: { name: 'pair', key: [...airport.key, ...town.key] } }
      const paired = { ...added, views: [{ ...view, spec: again }] }
      expect((await planChanges(registry.db, paired)).tables).toMatchObject([
        { kind: 'addIndexes', columns: [], indexes: [expect.any(String)] },
      ])
      const applied = await applyChanges(registry.db, paired)
      expect(applied.plan.tables).toHaveLength(1)
      expect((await planChanges(registry.db, paired)).tables).toEqual([])
      expect(await registry.db.query(`select 1 from pg_indexes where tablename = 'weather'`)).toHaveLength(5)
    })

    it('adds to an older table the columns and indexes for arrivals and pushed events', async () => {
      await applyChanges(registry.db, sampleSet())
      await registry.db.script(`
        insert into lockstep_source.weather (station, at) values ('ATL', '2001-01-01Z');
        alter table lockstep_source.weather drop column _event_id, drop column _online_only;
        do $$ declare name text; begin
          for name in select indexname from pg_indexes where indexname like 'weather_arrival_%' loop
            execute format('drop index lockstep_source.%I', name);
          end loop;
        end $$`)
      const { tables } = await planChanges(registry.db, sampleSet())
      expect(tables).toMatchObject([
        {
          kind: 'addColumns',
          columns: ['_event_id', '_online_only'],
          indexes: [expect.stringMatching(/^weather_arrival_/), expect.stringMatching(/^weather_event_/)],
        },
      ])
      await applyChanges(registry.db, sampleSet())
      expect(await registry.db.query('select _event_id, _online_only from lockstep_source.weather')).toEqual([
        { _event_id: null, _online_only: false },
      ])
      await registry.db.query(`insert into lockstep_source.weather (station, at, _event_id) values ('ATL', '2001-01-01Z', 'e')`)
      await expect(
        registry.db.query(`insert into lockstep_source.weather (station, at, _event_id) values ('ATL', '2001-01-01Z', 'e')`),
      ).rejects.toThrow('weather_event_')
    })

    it('refuses the table of a source if a column now has another type', async () => {
      await applyChanges(registry.db, sampleSet())
      const columns = [{ name: 'temperature', type: { kind: 'string' } as const }]
      const set = sampleSet({ weather: { ...weather, columns } })
      const views = set.views.map((view) =>
        view.spec.name === 'airport_weather'
          ? { ...view, spec: { ...view.spec, version: 2, features: [windowFeature('n', 'count', 1)] } }
          : view,
      )
      const problem = only((await planChanges(registry.db, { ...set, views })).problems)
      expect([problem.code, problem.details['source'], problem.details['column']]).toEqual([
        'SOURCE_TYPE_MISMATCH',
        'weather',
        'temperature',
      ])
      expect(problem.message).toContain('double precision')
    })

    it('plans and applies sixty sources and views by about as many statements as two', async () => {
      await registry.db.script(Array.from({ length: 60 }, (_, i) => `create table flights_${i} (like flights including all);`).join(' '))
      const set = (count: number, version: number): DefinitionSet => {
        const { sources, views, ...rest } = sampleSet()
        const [landed, delays] = [sources[0], views[0]] as [(typeof sources)[0], (typeof views)[0]]
        const copies = Array.from({ length: count }, (_, i): SourceSpec => ({
          ...landed.spec,
          name: `landings_${i}`,
          relation: { kind: 'table', table: `flights_${i}` },
        }))
        return {
          ...rest,
          sources: [...sources, ...copies.map((spec) => ({ ...landed, spec }))],
          views: [...views, ...copies.map((source, i) => ({ ...delays, spec: { ...delays.spec, name: `delays_${i}`, version, source } }))],
        }
      }
      const { db, statements } = counted(registry.db)
      const of = async (work: Promise<unknown>): Promise<number> => {
        const before = statements()
        await work
        return statements() - before
      }
      await applyChanges(db, sampleSet())
      const few = [await of(planChanges(db, set(2, 1))), await of(applyChanges(db, set(2, 1)))]
      const many = [await of(planChanges(db, set(60, 2))), await of(applyChanges(db, set(60, 2)))]
      // rows are estimated and counted for 50 tables at once
      expect(many).toEqual(few.map((count) => count + 2))
      const plan = await planChanges(db, set(60, 3))
      expect(plan.backfills).toHaveLength(60)
      expect(await of(applyChanges(db, sampleSet(), { prune: true }))).toBeLessThanOrEqual(few[1] ?? 0)
      const states = await db.query<{ states: number }>('select count(*)::int as states from lockstep.definition_states where retired')
      expect(states).toEqual([{ states: 122 }])
      await registry.db.script(Array.from({ length: 60 }, (_, i) => `drop table flights_${i};`).join(' '))
    })

    it('refuses two entities that want one key column in different types', async () => {
      const set = sampleSet()
      const numbered = { ...airport, name: 'numbered', key: [{ name: 'airport', type: { kind: 'int64' } as const }] }
      const view = set.views.find(({ spec }) => spec.name === 'airport_weather')
      if (view === undefined) throw new Error('the sample lacks its view')
      const other = { ...view, spec: { ...view.spec, name: 'numbered_weather', entity: numbered } }
      expect(only((await planChanges(registry.db, { ...set, views: [...set.views, other] })).problems).code).toBe('SOURCE_TYPE_MISMATCH')
    })
  })
}

/** The database, with the number of statements of its query builder so far. */
function counted(db: Database): { readonly db: Database; readonly statements: () => number } {
  let count = 0
  const kysely = db.kysely.withPlugin({
    transformQuery({ node }) {
      count++
      return node
    },
    transformResult: ({ result }) => Promise.resolve(result),
  })
  return { db: { ...db, kysely }, statements: () => count }
}
