import { sql } from 'kysely'
import { beforeEach, describe, expect, it } from 'vitest'
import type { LockstepError } from '../../kernel/errors.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import type { DefinitionSet } from '../../registry/load/definition-set.ts'
import { planChanges } from '../../registry/changes/plan.ts'
import { catalogRevision } from '../../registry/revision.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { landingsPipeline } from '../serving/streaming/pipeline-world.ts'
import type { TestRegistry } from './databases.ts'
import { flightsTable, hash, landings, sampleSet, weather, windowFeature } from './sample-set.ts'

/** The contract of `applyChanges`, on any database. */
export function applyContract(opened: () => TestRegistry): void {
  describe('apply', () => {
    let registry: TestRegistry

    beforeEach(async () => {
      registry = opened()
      await registry.reset()
      await registry.db.script(flightsTable)
    })

    const refusal = async (set: DefinitionSet, prune = false): Promise<LockstepError> => {
      const before = await contents()
      const error = await applyChanges(registry.db, set, { prune }).then(
        () => new Error('nothing was refused'),
        (reason: unknown) => reason,
      )
      expect(await contents(), 'nothing is half-written').toEqual(before)
      return error as LockstepError
    }

    /** Everything that apply may write. */
    const contents = async (): Promise<unknown[]> => [
      await registry.db.query(
        'select kind, name, version, fingerprint, spec, operational, retired_at from lockstep.definitions order by 1, 2, 3',
      ),
      await registry.db.query('select hash, body from lockstep.code order by 1'),
      await registry.db.query('select revision from lockstep.registry_state'),
      await registry.db.query(
        `select table_name, column_name, data_type from information_schema.columns where table_schema = 'lockstep_source' order by 1, 2`,
      ),
    ]

    const overWeather = (columns: string): DefinitionSet => {
      const relation = { kind: 'sql', sql: `select ${columns} from lockstep_source.weather` } as const
      return sampleSet({ landings: { ...landings, relation } })
    }
    const asLandings = 'at as date, reported_at as landed_at, station as origin, temperature as delay, 1 as distance'

    it('checks a query over a table that the same file creates', async () => {
      const plan = await planChanges(registry.db, overWeather(asLandings))
      expect(plan.problems).toEqual([])
      expect(plan.tables).toMatchObject([{ source: 'weather', kind: 'create' }])
      expect(plan.backfills).toMatchObject([{ view: 'airport_delays@1', rows: 0 }])
      const tables = () => registry.db.query(`select from pg_tables where schemaname = 'lockstep_source'`)
      expect(await tables(), 'a plan creates nothing').toEqual([])
      const error = await refusal(overWeather(`${asLandings}, humidity`))
      expect([error.code, error.message]).toEqual([
        'SOURCE_MISSING',
        'The query of the source "landings" cannot be read: column "humidity" does not exist. Correct its "sql".',
      ])
      const wrong = await refusal(overWeather(asLandings.replace('temperature', 'station')))
      expect([wrong.code, wrong.details['column']]).toEqual(['SOURCE_TYPE_MISMATCH', 'delay'])
      expect((await applyChanges(registry.db, overWeather(asLandings))).changed).toBe(true)
      expect(await tables()).toHaveLength(1)
      expect((await applyChanges(registry.db, overWeather(asLandings))).changed).toBe(false)
    })

    it('says that a query over a column that the same file adds needs a second apply', async () => {
      await applyChanges(registry.db, sampleSet())
      const humid = { ...weather, columns: [...weather.columns, { name: 'humidity', type: { kind: 'float64' } as const }] }
      const relation = { kind: 'sql', sql: `select ${asLandings}, humidity from lockstep_source.weather` } as const
      const error = await refusal(sampleSet({ weather: humid, landings: { ...landings, name: 'damp', relation } }))
      expect(error.message).toContain('If it reads a column that this file adds to a table, apply the file without this source first.')
    })

    it('refuses a pipeline whose source has a key that nothing types', async () => {
      const set = sampleSet()
      const views = set.views.filter(({ spec }) => spec.name !== 'airport_weather')
      const spec = landingsPipeline({ source: 'weather', model: set.models[0]?.spec.name ?? '' })
      const pipelines = [{ spec, fingerprint: 'f', operational: {} }]
      expect((await refusal({ ...set, entities: [], views, pipelines })).message).toContain('no entity has that key')
    })

    it('stores specs, operational fields and code, and counts the revision up once', async () => {
      const set = sampleSet()
      const applied = await applyChanges(registry.db, set)
      expect([applied.changed, applied.revision]).toEqual([true, 1])
      const rows = await registry.db.query<{ spec: unknown; operational: unknown }>(
        `select spec, operational from lockstep.definitions where name = 'airport_delays' and version = 1`,
      )
      expect(rows).toEqual([{ spec: set.views[0]?.spec, operational: { online: true } }])
      const code = await registry.db.query<{ hash: string; body: string }>('select hash, body from lockstep.code')
      expect(new Map(code.map((row) => [row.hash, row.body]))).toEqual(set.code)
    })

    it('does nothing the second time', async () => {
      await applyChanges(registry.db, sampleSet())
      const before = await contents()
      const again = await applyChanges(registry.db, sampleSet())
      expect([again.changed, again.revision]).toEqual([false, 1])
      expect(await contents()).toEqual(before)
    })

    it('changes operational fields under a version', async () => {
      await applyChanges(registry.db, sampleSet())
      const applied = await applyChanges(registry.db, sampleSet({ description: 'delays at an airport' }))
      expect([applied.changed, applied.revision]).toEqual([true, 2])
      const rows = await registry.db.query(`select operational from lockstep.definitions where name = 'airport_delays'`)
      expect(rows).toEqual([{ operational: { online: true, description: 'delays at an airport' } }])
    })

    it('refuses a changed definition under its version and leaves everything as it was', async () => {
      await applyChanges(registry.db, sampleSet())
      const wetter = { ...weather, eventTime: 'seen_at' }
      const error = await refusal(
        sampleSet({
          delays: { availability: { kind: 'schedule', schedule: '*/5 * * * *', delayMicros: 60_000_000 } },
          weather: wetter,
          service: { version: 2 },
        }),
      )
      expect(error.code).toBe('VERSION_CHANGED')
      expect(error.message).toContain('"airport_delays@1"')
      expect(error.message).toContain('"airport_weather@1"')
      expect(error.details['problems']).toHaveLength(3)
    })

    it('refuses what the database lacks, and changes nothing', async () => {
      expect((await refusal(sampleSet({ landings: { ...landings, eventTime: 'dat' } }))).code).toBe('UNKNOWN_COLUMN')
      const query = await refusal(sampleSet({ landings: { ...landings, relation: { kind: 'sql', sql: 'select * from nowhere' } } }))
      expect(query.code).toBe('SOURCE_MISSING')
    })

    it('keeps older versions beside newer ones', async () => {
      await applyChanges(registry.db, sampleSet())
      await applyChanges(
        registry.db,
        sampleSet({
          delays: { version: 2, features: [windowFeature('landed1h', 'count', 2)] },
          context: { version: 2 },
          service: { version: 2, members: [] },
        }),
      )
      const rows = await registry.db.query(
        `select version, retired_at from lockstep.definitions where name = 'airport_delays' order by version`,
      )
      expect(rows).toEqual([
        { version: 1, retired_at: null },
        { version: 2, retired_at: null },
      ])
    })

    it('creates the table of a source with arrival columns and the ordering index', async () => {
      await applyChanges(registry.db, sampleSet())
      await registry.db.script(
        `insert into lockstep_source.weather (station, at, reported_at, temperature) values ('ATL', '2001-01-01Z', null, 21.5), (null, '2001-01-02Z', 'infinity', null)`,
      )
      const rows = await registry.db.query(
        `select _row, _xid::text = pg_current_xact_id()::text as same, temperature from lockstep_source.weather order by _row`,
      )
      expect(rows).toEqual([
        { _row: '1', same: false, temperature: 21.5 },
        { _row: '2', same: false, temperature: null },
      ])
      // a table of two rows is sorted sooner than its index is read: the planner must be able to use it
      const text = await registry.db.kysely.transaction().execute(async (transaction) => {
        for (const method of ['seqscan', 'sort', 'bitmapscan']) await sql.raw(`set local enable_${method} = off`).execute(transaction)
        const { rows } = await sql<{ 'QUERY PLAN': string }>`
        explain select s.station collate "C", s.at from lockstep_source.weather s where s.station is not null
        order by s.station collate "C", greatest(s.at, s.reported_at)`.execute(transaction)
        return rows.map((row) => row['QUERY PLAN']).join('\n')
      })
      expect(text).toMatch(/Index Scan using weather_visible_/)
      expect(text).not.toContain('Sort')
    })

    it('adds columns to the table of a source, keeps its rows and drops nothing', async () => {
      await applyChanges(registry.db, sampleSet())
      await registry.db.script(`insert into lockstep_source.weather (station, at, temperature) values ('ATL', '2001-01-01Z', 21.5)`)
      const columns = [{ name: 'humidity', type: { kind: 'float32' } as const }]
      const set = sampleSet({ weather: { ...weather, columns } })
      const next = {
        ...set,
        views: set.views.map((view) =>
          view.spec.name === 'airport_weather'
            ? { ...view, spec: { ...view.spec, version: 2, features: [windowFeature('reports', 'count', 1)] } }
            : view,
        ),
      }
      await applyChanges(registry.db, next)
      const rows = await registry.db.query('select station, temperature, humidity from lockstep_source.weather')
      expect(rows).toEqual([{ station: 'ATL', temperature: 21.5, humidity: null }])
    })

    it('keeps the states of a definition in their order when a clock is behind', async () => {
      const { db } = registry
      await applyChanges(db, sampleSet())
      const newest = async () => {
        const states = await db.query(
          `select retired from lockstep.definition_states where kind = 'view' and name = 'airport_weather' order by at desc, id desc`,
        )
        return [states.length, states[0]?.['retired']]
      }
      // the state is an hour ahead of what retires the view
      await db.script(`update lockstep.definition_states set at = at + interval '1 hour' where kind = 'view' and name = 'airport_weather'`)
      const next = sampleSet({ delays: { version: 2 }, context: { version: 2 }, service: { version: 2 } })
      await applyChanges(db, { ...next, views: next.views.filter(({ spec }) => spec.name !== 'airport_weather') }, { prune: true })
      expect(await newest()).toEqual([2, true])
      await applyChanges(db, sampleSet())
      expect(await newest()).toEqual([3, false])
    })

    it('prunes what the file no longer has, and revives it when it is back unchanged', async () => {
      await applyChanges(registry.db, sampleSet())
      const next = sampleSet({ delays: { version: 2 }, context: { version: 2 }, service: { version: 2 } })
      await applyChanges(registry.db, next, { prune: true })
      const live = `select kind, name, version from lockstep.definitions where retired_at is null and version = 1 order by 1, 2`
      expect(await registry.db.query(live)).toEqual([{ kind: 'view', name: 'airport_weather', version: 1 }])
      const revived = await applyChanges(registry.db, sampleSet())
      expect(revived.plan.changes.filter((change) => change.status === 'revived').map((change) => change.label)).toEqual([
        'airport_delays@1',
        'flight_context@1',
        'flight_features@1',
      ])
      expect(await registry.db.query(live)).toHaveLength(4)
    })

    it('reports views that leave or return before it commits, and aborts on a throw', async () => {
      const online = async (set: DefinitionSet, prune = false) => (await applyChanges(registry.db, set, { prune })).online
      const next = sampleSet({ delays: { version: 2 }, context: { version: 2 }, service: { version: 2 } })
      expect(await online(sampleSet())).toEqual({ leaving: [], returning: [] })
      expect(await online(next, true)).toEqual({ leaving: ['airport_delays@1'], returning: [] })
      expect(await online(next, true)).toEqual({ leaving: [], returning: [] })

      const before = await contents()
      const refused = applyChanges(registry.db, sampleSet(), {
        beforeCommit: async ({ returning }, { kysely }) => {
          const { version } = await kysely
            .selectFrom('lockstep.definitions')
            .select('version')
            .where('name', '=', 'airport_delays')
            .where('retired_at', 'is', null)
            .orderBy('version')
            .executeTakeFirstOrThrow()
          throw new Error(`${returning.join()} at ${version}`)
        },
      })
      await expect(refused).rejects.toThrow('airport_delays@1 at 1')
      expect(await contents()).toEqual(before)

      expect(await online(sampleSet({ delaysOperational: { online: false } }))).toEqual({ leaving: [], returning: [] })
      expect(await online(sampleSet())).toEqual({ leaving: [], returning: ['airport_delays@1'] })
    })

    it('keeps a pruned name and version taken', async () => {
      await applyChanges(registry.db, sampleSet())
      await applyChanges(registry.db, sampleSet({ delays: { version: 2 }, context: { version: 2 }, service: { version: 2 } }), {
        prune: true,
      })
      const error = await refusal(
        sampleSet({
          delays: { features: [windowFeature('landed1h', 'count', 2)] },
          context: { version: 3 },
          service: { version: 3, members: [] },
        }),
      )
      expect(error.code).toBe('VERSION_CHANGED')
      expect(error.message).toContain('"version: 3"')
    })

    it('does not prune dependencies of a pushed model version', async () => {
      await applyChanges(registry.db, sampleSet())
      await registry.db.query(
        `insert into lockstep.model_versions (model, version, bytes, sha256, size_bytes, inputs, outputs, metadata, service_name, service_version, service_fingerprint)
       values ('delay', 1, '', '', 0, '[]', '[]', '{}', 'flight_features', 1, '')`,
      )
      const next = sampleSet({ delays: { version: 2 }, context: { version: 2 }, service: { version: 2 } })
      await applyChanges(registry.db, next)
      const { plan, changed } = await applyChanges(
        registry.db,
        { ...next, views: next.views.filter(({ spec }) => spec.name === 'airport_delays') },
        { prune: true },
      )
      expect(changed).toBe(true)
      expect(plan.notes.join()).toContain('1 (flight_features@1)')
      expect(plan.changes.filter(({ status }) => status === 'removed').map(({ label }) => label)).toEqual(['airport_weather@1'])
      const neededBy = ['model "delay" version 1']
      expect(plan.kept).toMatchObject([
        { label: 'airport_delays@1', neededBy: neededBy },
        { label: 'flight_context@1', neededBy },
        { label: 'flight_features@1', neededBy },
      ])
      const live = `select kind || ' ' || name as id from lockstep.definitions where retired_at is null and version = 1 order by 1`
      expect(await registry.db.query(live)).toEqual([
        { id: 'onDemand flight_context' },
        { id: 'service flight_features' },
        { id: 'view airport_delays' },
      ])
    })

    it('does not prune a model with a served version or its dependencies, unless forced', async () => {
      const set = sampleSet()
      await applyChanges(registry.db, set)
      await registry.db.query(
        `insert into lockstep.model_versions (model, version, bytes, sha256, size_bytes, inputs, outputs, metadata, service_name, service_version, service_fingerprint)
       values ('delay', 1, '', '', 0, '[]', '[]', '{}', 'flight_features', 1, '')`,
      )
      const without = { ...set, services: [], models: [] }
      const error = await refusal(without, true)
      expect(error.code).toBe('BREAKS_MODEL')
      expect(error.message).toContain('no longer has the model "delay"')
      expect(error.message).toContain('version 1, which is served')
      expect((await applyChanges(registry.db, without, { prune: true, breakModels: true })).changed).toBe(true)
    })

    it('puts stored code right that was changed outside', async () => {
      const set = sampleSet()
      await applyChanges(registry.db, set)
      await registry.db.query(`update lockstep.code set body = 'evil'`)
      const again = await applyChanges(registry.db, set)
      expect(again.changed).toBe(true)
      const code = await registry.db.query<{ hash: string; body: string }>('select hash, body from lockstep.code')
      expect(code.every((row) => hash(row.body) === row.hash)).toBe(true)
    })

    it('refuses code that does not match its hash', async () => {
      const set = sampleSet()
      expect((await refusal({ ...set, code: new Map([...set.code].map(([key, text]) => [key, `${text} `])) })).code).toBe(
        'CODE_HASH_MISMATCH',
      )
    })

    it('applied twice at once is one after the other', async () => {
      const sets = [sampleSet(), sampleSet({ delays: { version: 2 }, context: { version: 2 }, service: { version: 2 } })]
      const others = registry.url === null ? [registry.db] : [registry.db, openPostgres(registry.url)]
      const done = await Promise.all(
        Array.from({ length: 6 }, (_, i) => applyChanges(others[i % others.length] ?? registry.db, sets[i % 2] ?? sampleSet())),
      )
      for (const db of others) if (db !== registry.db) await db.close()
      expect(done.filter((applied) => applied.changed).length).toBe(await catalogRevision(registry.db))
      expect(await registry.db.query(`select 1 from lockstep.definitions where name = 'airport_delays'`)).toHaveLength(2)
    })

    it('applied concurrently with a conflict accepts one and refuses the other', async () => {
      const sets = [sampleSet(), sampleSet({ delays: { features: [windowFeature('landed1h', 'count', 2)] }, service: { members: [] } })]
      const done = await Promise.allSettled(sets.map((set) => applyChanges(registry.db, set)))
      expect(done.map((each) => each.status).sort()).toEqual(['fulfilled', 'rejected'])
      expect(done.flatMap((each) => (each.status === 'rejected' ? [(each.reason as LockstepError).code] : []))).toEqual(['VERSION_CHANGED'])
      expect(await registry.db.query('select 1 from lockstep.definitions')).toHaveLength(8)
    })
  })
}
