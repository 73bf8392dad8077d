import { beforeEach, describe, expect, it } from 'vitest'
import { LockstepError } from '../../kernel/errors.ts'
import type { LoadTransform } from '../../kernel/transform.ts'
import { loadTransform } from '../../kernel/transform.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { storedDefinitions } from '../../registry/definition.ts'
import { catalogRevision } from '../../registry/revision.ts'
import { storedCode } from '../../registry/verified-code.ts'
import type { TestRegistry } from './databases.ts'
import { flightsTable, hash, sampleSet, windowFeature } from './sample-set.ts'

/** The contract of `loadCatalog`, on any database. */
export function catalogContract(opened: () => TestRegistry): void {
  describe('a catalog', () => {
    let registry: TestRegistry

    beforeEach(async () => {
      registry = opened()
      await registry.reset()
      await registry.db.script(flightsTable)
    })

    const refusal = (ask: () => unknown): LockstepError => {
      try {
        ask()
      } catch (error) {
        if (error instanceof LockstepError) return error
        throw error
      }
      throw new Error('nothing was refused')
    }

    it('compiles stored views with fingerprints, services with features, and models', async () => {
      const set = sampleSet()
      await applyChanges(registry.db, set)
      const catalog = await loadCatalog(registry.db)
      expect(catalog.revision).toBe(await catalogRevision(registry.db))
      expect([...catalog.views.keys()]).toEqual(['airport_delays@1', 'airport_weather@1'])
      expect([...catalog.online]).toEqual(['airport_delays@1'])
      expect(catalog.view('airport_delays').fingerprint).toBe(set.views[0]?.fingerprint)
      const service = catalog.service('flight_features')
      expect(service.features.map((feature) => feature.name)).toEqual(['landed1h', 'meanDelay6h', 'lastDelay', 'hour'])
      expect(catalog.model('delay')).toMatchObject({ spec: set.models[0]?.spec, versions: [] })
      expect(catalog.source('weather')).toEqual(set.sources[1]?.spec)
      expect([...catalog.entities.values()]).toEqual(set.entities.map((each) => each.spec))
      expect(catalog.broken.size).toBe(0)
    })

    it('runs the stored code', async () => {
      await applyChanges(registry.db, sampleSet())
      const plan = (await loadCatalog(registry.db)).view('airport_delays')
      const folded = plan.fold(0, null, 1, [20, 300])
      expect(folded?.values).toEqual([20, 300, 1])
      const service = (await loadCatalog(registry.db)).service('flight_features')
      const values = service.uses.map((use) => use.plan.newState().valueAt(0))
      expect(service.evaluate(values, [300], 7_200_000_000).values).toEqual([0, 0, null, 2])
    })

    it('has a guard load the code', async () => {
      await applyChanges(registry.db, sampleSet())
      const loaded = new Set<string>()
      const load: LoadTransform = (code, what) => loadTransform(code, loaded.add(what) && what)
      await loadCatalog(registry.db, { load, strict: () => [] })
      expect([...loaded].sort()).toEqual(['airport_delays@1', 'flight_context@1'])
    })

    it('gives the newest version of a name, or the requested version', async () => {
      await applyChanges(registry.db, sampleSet())
      for (const version of [2, 10]) {
        await applyChanges(
          registry.db,
          sampleSet({
            delays: { version, features: [windowFeature('landed1h', 'count', version)] },
            context: { version },
            service: { version, members: [] },
          }),
        )
      }
      const catalog = await loadCatalog(registry.db)
      expect(catalog.view('airport_delays').id).toBe('airport_delays@10')
      expect(catalog.view('airport_delays@2').id).toBe('airport_delays@2')
      expect(catalog.service('flight_features').version).toBe(10)
      expect(catalog.service('flight_features@1').features).toHaveLength(4)
    })

    it('suggests the nearest if a name or version does not exist', async () => {
      await applyChanges(registry.db, sampleSet())
      const catalog = await loadCatalog(registry.db)
      expect(refusal(() => catalog.service('flight_feature')).message).toContain('Did you mean "flight_features"?')
      expect(refusal(() => catalog.view('airport_delays@7')).message).toContain('Its only version is "airport_delays@1"')
      expect(refusal(() => catalog.view('airprt_delays')).message).toContain('Did you mean "airport_delays"?')
      expect(refusal(() => catalog.model('dealy')).message).toContain('Did you mean "delay"?')
      expect(refusal(() => catalog.source('wether'))).toMatchObject({
        code: 'UNKNOWN_DEFINITION',
        message: expect.stringContaining('"weather"') as string,
      })
    })

    it('reports an empty registry', async () => {
      const catalog = await loadCatalog(registry.db)
      expect(catalog.revision).toBe(0)
      expect(refusal(() => catalog.service('flight_features')).message).toContain('apply a definitions file')
    })

    it('omits pruned definitions', async () => {
      await applyChanges(registry.db, sampleSet())
      await applyChanges(registry.db, sampleSet({ delays: { version: 2 }, context: { version: 2 }, service: { version: 2 } }), {
        prune: true,
      })
      const catalog = await loadCatalog(registry.db)
      expect([...catalog.services.keys()]).toEqual(['flight_features@2'])
      expect(refusal(() => catalog.view('airport_delays@1')).code).toBe('UNKNOWN_DEFINITION')
    })

    it('reads only the code in use', async () => {
      await applyChanges(registry.db, sampleSet())
      const next = sampleSet({
        transform: '(row) => ({ late: 1 })',
        delays: { version: 2 },
        context: { version: 2 },
        service: { version: 2 },
      })
      await applyChanges(registry.db, next, { prune: true })
      const definitions = (await storedDefinitions(registry.db.kysely)).filter(({ retired }) => !retired)
      expect(await storedCode(registry.db.kysely, definitions)).toEqual(next.code)
      expect(await registry.db.query('select 1 from lockstep.code')).toHaveLength(3)
      expect((await loadCatalog(registry.db)).broken.size).toBe(0)
    })

    it.each([
      ['changed', `update lockstep.code set body = body || ' ' where body like '%row.delay%'`],
      ['deleted', `delete from lockstep.code where body like '%row.delay%'`],
    ])('with code that was %s refuses what needs it by name, and serves the rest', async (_, damage) => {
      await applyChanges(registry.db, sampleSet())
      await registry.db.query(damage)
      const catalog = await loadCatalog(registry.db)
      const error = refusal(() => catalog.view('airport_delays'))
      expect(error.code).toBe('CODE_HASH_MISMATCH')
      expect(error.message).toContain('"airport_delays@1"')
      expect(error.message).toContain('Apply its definitions file')
      expect(refusal(() => catalog.service('flight_features'))).toBe(error)
      expect([...catalog.broken.keys()]).toEqual(['view airport_delays@1', 'onDemand flight_context@1', 'service flight_features@1'])
      expect(catalog.view('airport_weather').id).toBe('airport_weather@1')
      await applyChanges(registry.db, sampleSet())
      expect((await loadCatalog(registry.db)).service('flight_features').version).toBe(1)
    })

    it('invalidates broken definitions, not others of the same name', async () => {
      await applyChanges(registry.db, sampleSet({ context: { name: 'airport_delays' } }))
      await registry.db.query(`delete from lockstep.code where body like '%request.distance%'`)
      const catalog = await loadCatalog(registry.db)
      expect([...catalog.broken.keys()]).toEqual(['onDemand airport_delays@1', 'service flight_features@1'])
      expect(catalog.view('airport_delays').id).toBe('airport_delays@1')
      expect(refusal(() => catalog.service('flight_features')).message).toContain('"airport_delays@1"')
    })

    it('loads the code of an on-demand view that no service uses', async () => {
      const set = sampleSet({ service: { members: [] } })
      await applyChanges(registry.db, set)
      const bad = 'not code ('
      await registry.db.query(`insert into lockstep.code (hash, body) values ($1, $2)`, [hash(bad), bad])
      await registry.db.query(`update lockstep.definitions set spec = replace(spec::text, $1, $2)::json where kind = 'onDemand'`, [
        set.onDemand[0]?.spec.code,
        hash(bad),
      ])
      const { broken } = await loadCatalog(registry.db)
      expect([...broken].map(([key, { code }]) => [key, code])).toEqual([['onDemand flight_context@1', 'TRANSFORM_FAILED']])
    })

    it('keeps a spec that does not compile to itself', async () => {
      await applyChanges(registry.db, sampleSet())
      await registry.db.query(`update lockstep.definitions set spec = '{}' where name = 'airport_weather'`)
      const catalog = await loadCatalog(registry.db)
      expect(refusal(() => catalog.view('airport_weather')).message).toContain('"airport_weather@1"')
      expect(catalog.service('flight_features').version).toBe(1)
    })
  })
}
