import { beforeEach, describe, expect, it } from 'vitest'
import { applyChanges } from '../../registry/changes/apply.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { readModelBytes } from '../../registry/models/model-versions.ts'
import { pushModel } from '../../registry/models/models.ts'
import { signContent, unsignedContent } from '../../registry/sign-content.ts'
import { storedServices } from '../../registry/stored-services.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { createSigning } from '../../runtime/signing.ts'
import type { TestRegistry } from './databases.ts'
import { contract } from './promote-contract.ts'
import { flightsTable, sampleSet } from './sample-set.ts'

const [older, newer] = ['a'.repeat(32), 'b'.repeat(32)]
const refused = expect.objectContaining({ code: 'SIGNATURE_INVALID' }) as Error

/** The contract of signing, on any database. */
export function signingContract(opened: () => TestRegistry): void {
  describe('a signing key', () => {
    let registry: TestRegistry
    let signed: Database
    const under = (...keys: [string, ...string[]]): Database => ({ ...registry.db, signing: createSigning(keys) })
    const push = (db: Database, text: string) => pushModel(db, { model: 'delay', bytes: Buffer.from(text), contract })
    const everything = (db: Database) =>
      Promise.all([loadCatalog(db), storedServices(db, ['flight_features@1']), readModelBytes(db, 'delay', 1)])

    beforeEach(async () => {
      registry = opened()
      await registry.reset()
      await registry.db.script(flightsTable)
      signed = under(older)
    })

    it('signs what is applied and pushed, so that it runs', async () => {
      await applyChanges(signed, sampleSet())
      await push(signed, 'one')
      await everything(signed)
      await everything(registry.db)
      expect(await unsignedContent(registry.db.kysely, createSigning([older]))).toEqual([])
    })

    const services = async (db: Database) => [...(await storedServices(db, ['flight_features@1'])).keys()]

    it.each([
      [
        'a changed spec',
        true,
        `update lockstep.definitions set spec = replace(spec::text, '"ttl', '"tTl')::json, operational = '{"online":false}' where kind = 'view'`,
      ],
      ['a row under another name', false, `update lockstep.definitions set name = 'other' where kind = 'onDemand'`],
      ['a row under another version', false, `update lockstep.definitions set version = 9 where kind = 'service'`],
      ['a signature of none', true, `update lockstep.definitions set signature = null where kind = 'source'`],
    ])('refuses %s', async (_, isFound, change) => {
      await applyChanges(signed, sampleSet())
      expect(await services(signed)).toEqual(['flight_features@1'])
      await registry.db.query(change)
      await expect(loadCatalog(signed)).rejects.toEqual(refused)
      // under another name a row is as if it were deleted
      if (isFound) await expect(services(signed)).rejects.toEqual(refused)
      else expect(await services(signed)).toEqual([])
    })

    it('refuses model bytes under another version, or changed together with their hash', async () => {
      await applyChanges(signed, sampleSet())
      await push(signed, 'one')
      await push(signed, 'two')
      await registry.db.query(`update lockstep.model_versions v set bytes = o.bytes, sha256 = o.sha256, signature = o.signature
        from lockstep.model_versions o where v.version = 1 and o.version = 2`)
      await expect(readModelBytes(signed, 'delay', 1)).rejects.toEqual(refused)
      await registry.db.query(`update lockstep.model_versions set bytes = 'evil', sha256 = encode(sha256('evil'), 'hex') where version = 2`)
      await expect(readModelBytes(signed, 'delay', 2)).rejects.toEqual(refused)
    })

    it('covers the bytes that are read, even if they change after verification', async () => {
      await applyChanges(signed, sampleSet())
      await push(signed, 'one')
      let isChanged = false
      const kysely = registry.db.kysely.withPlugin({
        transformQuery: ({ node }) => node,
        async transformResult({ result }) {
          if (!isChanged) {
            isChanged = true
            await registry.db.query(`update lockstep.model_versions set bytes = 'evil', sha256 = encode(sha256('evil'), 'hex')`)
          }
          return result
        },
      })
      await expect(readModelBytes({ ...signed, kysely }, 'delay', 1)).rejects.toMatchObject({ code: 'CODE_HASH_MISMATCH' })
    })

    it('refuses unsigned entries until they are applied and pushed again, or signed', async () => {
      const { db } = registry
      await applyChanges(db, sampleSet())
      await push(db, 'one')
      await expect(loadCatalog(signed)).rejects.toMatchObject({
        code: 'SIGNATURE_INVALID',
        message: expect.stringMatching(/ and \d+ more in the registry are not signed .* They are not run\. .*"lockstep sign"\.$/) as string,
      })
      await applyChanges(signed, sampleSet())
      await expect(readModelBytes(signed, 'delay', 1)).rejects.toEqual(refused)
      await push(signed, 'one')
      await everything(signed)

      const other = under('c'.repeat(32))
      await expect(loadCatalog(other)).rejects.toEqual(refused)
      const { signing } = other
      if (signing === undefined) throw new Error('It has a key.')
      const shown = await unsignedContent(db.kysely, signing)
      // what was changed after it was looked at is not signed
      await db.query(`update lockstep.definitions set fingerprint = 'evil' where kind = 'model'`)
      await signContent(other, signing, shown, { actor: 'ann@here' })
      expect((await unsignedContent(db.kysely, signing)).map(({ what }) => what)).toEqual(['model "delay"'])
    })

    it('is replaced by a newer one, while the older verifies', async () => {
      await applyChanges(signed, sampleSet())
      await push(signed, 'one')
      const both = under(newer, older)
      await everything(both)
      const { signing } = both
      if (signing === undefined) throw new Error('It has a key.')
      const shown = await unsignedContent(registry.db.kysely, signing)
      expect(shown.every(({ wasSigned }) => wasSigned)).toBe(true)
      await signContent(both, signing, shown, { actor: 'ann@here' })
      await everything(under(newer))
      await expect(loadCatalog(signed)).rejects.toEqual(refused)
    })
  })
}
