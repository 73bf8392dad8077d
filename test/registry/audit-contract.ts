import { beforeEach, describe, expect, it } from 'vitest'
import { applyChanges } from '../../registry/changes/apply.ts'
import { createKey, revokeKey, rotateKey } from '../../registry/keys/api-keys.ts'
import { pushModel } from '../../registry/models/models.ts'
import { promoteModel } from '../../registry/models/promote.ts'
import { forgetAudit, readAudit, recordAudit } from '../../runtime/audit.ts'
import type { TestRegistry } from './databases.ts'
import { contract } from './promote-contract.ts'
import { flightsTable, sampleSet } from './sample-set.ts'

const ann = { actor: 'ann@here', reason: 'better', requestId: 'r1' }

/** The contract of the audit log, on any database. */
export function auditContract(opened: () => TestRegistry): void {
  describe('the audit log', () => {
    let registry: TestRegistry
    beforeEach(async () => {
      registry = opened()
      await registry.reset()
      await registry.db.script(flightsTable)
    })
    const read = (filter: object = {}) => readAudit(registry.db, { limit: 100, ...filter })

    it('reports who changed what, with the states before and after', async () => {
      const { db } = registry
      await applyChanges(db, sampleSet(), { by: ann })
      await applyChanges(db, sampleSet(), { by: ann })
      await applyChanges(db, sampleSet({ description: 'delays at an airport' }), { by: { actor: 'bob@there' } })
      const [second, first, ...none] = await read({ what: 'apply' })
      expect(none).toEqual([])
      expect(first).toMatchObject({
        actor: 'ann@here',
        reason: 'better',
        requestId: 'r1',
        before: { revision: 0 },
        at: expect.any(Date) as Date,
      })
      expect(first?.after).toMatchObject({ revision: 1, changes: expect.arrayContaining(['added view airport_delays@1']) as unknown })
      expect(second).toMatchObject({
        actor: 'bob@there',
        after: { revision: 2, changes: ['changed view airport_delays@1', 'changed service flight_features@1'] },
      })
      expect(second?.after).toMatchObject({ 'view airport_delays@1': { description: expect.stringContaining('delays at') as string } })
    })

    it('names the API key of the actor, without the key text', async () => {
      const { db } = registry
      const request = { name: 'ci', scopes: ['admin'], requestsPerSecond: null, rowsPerSecond: null, expiresAt: null } as const
      const made = await createKey(db, request, ann)
      const next = await rotateKey(db, made.key.id, { overlapMs: 0 }, { actor: made.key.id })
      await revokeKey(db, next.key.id, { actor: made.key.id })
      const records = await read({ who: 'ci' })
      expect(records).toMatchObject([
        { action: 'keys.revoke', subject: next.key.id, actorName: 'ci' },
        { action: 'keys.rotate', subject: made.key.id, before: { name: 'ci' }, after: { id: next.key.id } },
      ])
      const all = JSON.stringify(await read())
      for (const { text } of [made, next]) expect(all).not.toContain(text.slice(-38))
    })

    it('has a change of a model in it, with its history', async () => {
      const { db } = registry
      await applyChanges(db, sampleSet())
      await pushModel(db, { model: 'delay', bytes: Buffer.from('one'), contract, ...ann })
      await promoteModel(db, 'delay', 1, ann)
      await promoteModel(db, 'delay', 1, ann, 'shadow')
      expect(await read({ what: 'model' })).toMatchObject([
        { action: 'model.alias', before: null, after: { alias: 'shadow', version: 1 } },
        { action: 'model.promote', before: null, after: { alias: 'champion', version: 1 } },
        { action: 'model.push', subject: 'delay@1', after: { version: 1, sha256: expect.any(String) as string } },
      ])
      expect((await read({ what: 'delay' })).length).toBe(3)
      expect(await read({ what: 'mod' })).toEqual([])
    })

    it('is written only with the change, is bounded, and expires by the database clock', async () => {
      const { db } = registry
      const undone = db.kysely.transaction().execute(async (transaction) => {
        await recordAudit({ kysely: transaction }, ann, { action: 'ingest', subject: 'landings' })
        throw new Error('undone')
      })
      await expect(undone).rejects.toThrow('undone')
      expect(await read()).toEqual([])
      await recordAudit(db, ann, { action: 'ingest', subject: 'landings', after: { text: 'x'.repeat(100_000) } })
      const [kept] = await read({ since: new Date(Date.now() - 3_600_000) })
      expect(kept).toMatchObject({ after: { bytes: 100_011, beginning: expect.any(String) as string } })
      await db.query(`update lockstep.audit_log set at = now() - interval '31 days'`)
      expect(await read({ since: new Date(Date.now() - 3_600_000) })).toEqual([])
      expect([await forgetAudit(db, 32), await forgetAudit(db, 30), await read()]).toEqual([0, 1, []])
    })
  })
}
