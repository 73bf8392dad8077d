import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { applyChanges } from '../../registry/changes/apply.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import type { LoadedOn } from '../../registry/models/load-on-servers.ts'
import type { LoadReply } from '../../registry/models/load-request.ts'
import { loadReplyNotice, parseLoadRequest } from '../../registry/models/load-request.ts'
import type { ModelContract } from '../../registry/models/model-contract.ts'
import { listModelEvents } from '../../registry/models/model-events.ts'
import type { ModelPush } from '../../registry/models/models.ts'
import { pushModel } from '../../registry/models/models.ts'
import { pickVersion } from '../../registry/models/pick-version.ts'
import { planChanges } from '../../registry/changes/plan.ts'
import type { PromoteOptions } from '../../registry/models/promote.ts'
import { promoteModel, removeModelAlias, rollBackModel } from '../../registry/models/promote.ts'
import { catalogRevision, registryChannel } from '../../registry/revision.ts'
import type { TestRegistry } from './databases.ts'
import { flightsTable, sampleSet } from './sample-set.ts'

export const contract: ModelContract = {
  inputs: [{ name: 'input', type: 'float32', shape: ['N', 4], isTensor: true }],
  outputs: [{ name: 'probability', type: 'float32', shape: ['N', 1], isTensor: true }],
}
const ann = { actor: 'ann@here', reason: 'better' }

/** The contract of aliases, promotion and roll-back, on any database. */
export function promoteContract(opened: () => TestRegistry): void {
  describe('the champion of a model', () => {
    let registry: TestRegistry

    beforeEach(async () => {
      registry = opened()
      await registry.reset()
      await registry.db.script(flightsTable)
      await applyChanges(registry.db, sampleSet())
    })

    const push = async (text: string, fields: Partial<ModelPush> = {}) =>
      await pushModel(registry.db, { model: 'delay', bytes: Buffer.from(text), contract, ...fields })
    const served = async () => pickVersion((await loadCatalog(registry.db)).model('delay')).version
    const history = async () =>
      (await listModelEvents(registry.db, 'delay')).map(({ action, alias, from, to }) => `${action} ${alias ?? '-'} ${from} ${to}`)
    const code = (expected: string, message: string) => ({ code: expected, message: expect.stringContaining(message) as string })

    it('answers after any later pushes; without one the newest version answers', async () => {
      await push('one')
      await push('two')
      expect(await served()).toBe(2)
      const before = await catalogRevision(registry.db)
      const change = await promoteModel(registry.db, 'delay', 1, ann)
      expect(change).toEqual({
        model: 'delay',
        alias: 'champion',
        from: 2,
        to: 1,
        changed: true,
        pinned: null,
        revision: before + 1,
        servers: { asked: 0, loaded: 0 },
      })
      await push('three')
      expect(await served()).toBe(1)
      await removeModelAlias(registry.db, 'delay', 'champion', ann)
      expect(await served()).toBe(3)
    })

    it('rolls back step by step to earlier champions, the first time too', async () => {
      for (const text of ['one', 'two', 'three']) await push(text)
      await promoteModel(registry.db, 'delay', 1, ann)
      await promoteModel(registry.db, 'delay', 2, ann)
      await promoteModel(registry.db, 'delay', 1, ann)
      const other = rollBackModel(registry.db, 'delay', ann, 'champion', { to: 3 })
      await expect(other).rejects.toMatchObject(code('STALE', 'now leads to version 2, not 3'))
      expect(await served()).toBe(1)
      const back: (number | null)[] = []
      for (let i = 0; i < 3; i++) back.push((await rollBackModel(registry.db, 'delay', { actor: 'bob' })).to)
      expect(back).toEqual([2, 1, 3])
      const beyond = rollBackModel(registry.db, 'delay', ann)
      await expect(beyond).rejects.toMatchObject(code('NOT_PROMOTABLE', 'it pointed to no version before 3'))
      expect(await served()).toBe(3)
      expect((await history()).slice(0, 6)).toEqual([
        'rollback champion 1 3',
        'rollback champion 2 1',
        'rollback champion 1 2',
        'promote champion 2 1',
        'promote champion 1 2',
        'promote champion 3 1',
      ])
    })

    it('has a history of who did what, when and why', async () => {
      await push('one', { actor: 'ci@host' })
      await promoteModel(registry.db, 'delay', 1, ann)
      const events = await listModelEvents(registry.db, 'delay')
      expect(events).toMatchObject([
        { action: 'promote', alias: 'champion', from: null, to: 1, actor: 'ann@here', reason: 'better' },
        { action: 'push', alias: null, from: null, to: 1, actor: 'ci@host', reason: null },
      ])
      expect(Math.abs(Date.now() - (events[0]?.at.getTime() ?? 0))).toBeLessThan(60_000)
      expect(await listModelEvents(registry.db, 'delay', 1)).toHaveLength(1)
    })

    it('changes once if many promote it at once, and does not count repeats', async () => {
      await push('one')
      await push('two')
      const before = await catalogRevision(registry.db)
      const changes = await Promise.all([1, 1, 1, 1].map((version) => promoteModel(registry.db, 'delay', version, ann)))
      expect(changes.filter(({ changed }) => changed)).toHaveLength(1)
      expect(await catalogRevision(registry.db)).toBe(before + 1)
      expect((await history()).filter((event) => event.startsWith('promote'))).toEqual(['promote champion 2 1'])
    })

    it('can be set by the push itself, and by another alias', async () => {
      await push('one')
      expect((await push('two', { alias: 'challenger' })).alias).toEqual({
        model: 'delay',
        alias: 'challenger',
        from: null,
        to: 2,
        changed: true,
      })
      expect((await push('three', { alias: 'champion', ...ann })).alias).toMatchObject({ from: 2, to: 3 })
      expect(await served()).toBe(3)
      await promoteModel(registry.db, 'delay', 'challenger', ann)
      expect(await served()).toBe(2)
      const again = await push('one', { alias: 'champion' })
      expect([again.created, await served()]).toEqual([false, 1])
    })

    it('is never a version that cannot be served: the promotion is refused', async () => {
      await push('one')
      await push('two')
      await promoteModel(registry.db, 'delay', 2, ann)
      // the declaration asks for another output by now
      await applyChanges(registry.db, sampleSet({ model: { output: [{ name: 'score', type: { kind: 'float32' } }] } }), {
        breakModels: true,
      })
      const before = await catalogRevision(registry.db)
      await expect(promoteModel(registry.db, 'delay', 1, ann)).rejects.toMatchObject(code('NOT_PROMOTABLE', '"score"'))
      expect([await catalogRevision(registry.db), await served()]).toEqual([before, 2])
    })

    it('is not broken by a change of the definitions unless forced', async () => {
      await push('one')
      await push('two', { alias: 'champion' })
      await push('three')
      const changed = sampleSet({ model: { output: [{ name: 'score', type: { kind: 'float32' } }] } })
      const plan = await planChanges(registry.db, changed)
      expect(plan.breaks).toEqual([{ cause: 'model "delay"', broken: 'model "delay" version 2, which is served' }])
      expect(plan.problems).toMatchObject([code('BREAKS_MODEL', 'the output "score", which the file does not have')])
      await expect(applyChanges(registry.db, changed)).rejects.toMatchObject(code('BREAKS_MODEL', '--break-models'))
      const meant = await applyChanges(registry.db, changed, { breakModels: true })
      expect([meant.changed, meant.plan.problems, meant.plan.breaks]).toEqual([true, [], plan.breaks])
      // what is broken already is not broken again, and what is put right is no breakage
      expect((await planChanges(registry.db, changed)).problems).toEqual([])
      expect(await planChanges(registry.db, sampleSet())).toMatchObject({ problems: [], breaks: [] })
    })

    it('is recorded if it does not fit the service that its model now reads', async () => {
      await push('one')
      const service = sampleSet().services[0]?.spec
      const members = (service?.members ?? []).slice(0, 1)
      const plan = await planChanges(registry.db, sampleSet({ service: { version: 2, members } }))
      expect([plan.problems, plan.breaks]).toEqual([[], []])
      expect(plan.notes).toContainEqual(
        expect.stringMatching(
          /version 1, which is served, cannot be pushed again\. The model .* does not fit its feature service "flight_features@2": /,
        ),
      )
    })

    describe('while servers run', () => {
      const wait = { timeout: 60_000 }
      const stops: (() => Promise<void>)[] = []
      afterEach(async () => {
        for (const stop of stops.splice(0)) await stop()
        // PostgreSQL notices a moment later that they are gone
        await vi.waitFor(async () => expect(await registry?.db.listeners(registryChannel)).toBe(0), wait)
      })

      /** One that says what it is to say, when it is to. */
      const server = async (name: string, says: (say: (state: LoadReply['state'], message?: string) => Promise<void>) => Promise<void>) => {
        const { db } = registry
        const began = Promise.withResolvers<void>()
        const hear = (notice: string | null) => {
          if (notice === null) return began.resolve()
          const request = parseLoadRequest(notice)
          if (request === null) return
          expect(request).toMatchObject({ model: 'delay', version: 1, revision: expect.any(Number) as number })
          const say = async (state: LoadReply['state'], message = '') =>
            void (await db.query('select pg_notify($1, $2)', [request.replyTo, loadReplyNotice({ server: name, state, message })]))
          void says(say)
        }
        stops.push(await db.listen(registryChannel, hear))
        await began.promise
      }
      const promote = async (options: PromoteOptions = {}) =>
        await promoteModel(registry.db, 'delay', 1, ann, 'champion', { hearMs: 30_000, ...options })

      beforeEach(async () => {
        await push('one')
        await push('two')
      })

      it('is loaded by all servers before it is the champion', async () => {
        const gate = Promise.withResolvers<void>()
        await server('fast', async (say) => {
          await say('loading')
          await say('loaded')
        })
        await server('slow', async (say) => {
          await say('loading')
          await gate.promise
          await say('loaded')
        })
        const seen: LoadedOn[] = []
        const promoting = promote({ onProgress: (servers) => void seen.push(servers) })
        await vi.waitFor(() => expect(seen).toContainEqual({ asked: 2, loaded: 1 }), wait)
        expect(await served()).toBe(2)
        gate.resolve()
        expect(await promoting).toMatchObject({ from: 2, to: 1, changed: true, servers: { asked: 2, loaded: 2 } })
        expect(await served()).toBe(1)
        // there is nothing to wait for
        expect(await promote()).not.toHaveProperty('servers')
      })

      it('is unchanged if one server cannot load it, unless the promotion is forced', async () => {
        await server('slow', (say) => say('loading'))
        await server('broken', (say) => say('refused', 'It is no model.'))
        const before = await catalogRevision(registry.db)
        await expect(promote()).rejects.toMatchObject(code('NOT_PROMOTABLE', 'It is no model. To change it anyway, use --at-once'))
        expect([await catalogRevision(registry.db), await served()]).toEqual([before, 2])
        expect(await promote({ atOnce: true })).toEqual({
          model: 'delay',
          alias: 'champion',
          from: 2,
          to: 1,
          changed: true,
          pinned: null,
          revision: before + 1,
        })
        expect(await served()).toBe(1)
      })

      it('changes without servers that are silent, undecided or too slow', async () => {
        await server('deaf', async () => undefined)
        await server('late', (say) => say('late', 'The registry is away.'))
        const begun = performance.now()
        expect((await promote({ hearMs: 1_000 })).servers).toEqual({ asked: 2, loaded: 0 })
        expect(performance.now() - begun).toBeGreaterThan(990)
        await promoteModel(registry.db, 'delay', 2, ann, 'champion', { atOnce: true })
        await server('slow', (say) => say('loading'))
        expect((await promote({ hearMs: 1_000, waitMs: 2000 })).servers).toEqual({ asked: 3, loaded: 0 })
        expect(await served()).toBe(1)
      })

      it('keeps a setting made while servers loaded an earlier promotion', async () => {
        const [asked, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
        await server('slow', async (say) => {
          await say('loading')
          asked.resolve()
          await gate.promise
          await say('loaded')
        })
        const three = (await push('three')).version.version
        const promoting = promote()
        await asked.promise
        await promoteModel(registry.db, 'delay', three, ann, 'champion', { atOnce: true })
        gate.resolve()
        await expect(promoting).rejects.toMatchObject(
          code('NOT_PROMOTABLE', `was set to the version ${three} while servers loaded the version 1`),
        )
        expect(await served()).toBe(three)
      })

      it('changes without a server that has left', async () => {
        await server('leaving', async (say) => {
          await say('loading')
          await stops.shift()?.()
        })
        const begun = performance.now()
        expect((await promote({ hearMs: 1_000 })).servers).toEqual({ asked: 1, loaded: 0 })
        expect(performance.now() - begun).toBeLessThan(60_000)
        expect(await served()).toBe(1)
      })

      it('is unchanged if the promoting caller gives up', async () => {
        await server('slow', (say) => say('loading'))
        const over = new AbortController()
        const promoting = promote({ signal: over.signal, onProgress: () => over.abort(new Error('enough')) })
        await expect(promoting).rejects.toThrow('enough')
        await expect(promote({ signal: over.signal })).rejects.toThrow('enough')
        await expect(promote({ signal: over.signal, atOnce: true })).rejects.toThrow('enough')
        expect(await served()).toBe(2)
      })
    })

    it('is refused for a missing version, and for an invalid name', async () => {
      await push('one')
      await expect(promoteModel(registry.db, 'delay', 2, ann)).rejects.toMatchObject(code('UNKNOWN_DEFINITION', 'it has 1'))
      await expect(promoteModel(registry.db, 'delay', 'champ', ann)).rejects.toMatchObject(code('UNKNOWN_DEFINITION', 'no alias "champ"'))
      await expect(promoteModel(registry.db, 'delays', 1, ann)).rejects.toMatchObject(code('UNKNOWN_DEFINITION', '"delay"'))
      await expect(promoteModel(registry.db, 'delay', 1, ann, 'No. 1')).rejects.toMatchObject(code('INVALID_NAME', 'An alias'))
      await expect(rollBackModel(registry.db, 'delay', ann)).rejects.toMatchObject(code('UNKNOWN_DEFINITION', 'no alias "champion"'))
      await expect(push('two', { alias: '2' })).rejects.toMatchObject(code('INVALID_NAME', 'An alias'))
    })
  })
}
