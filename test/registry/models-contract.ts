import { randomBytes } from 'node:crypto'
import { beforeEach, describe, expect, it } from 'vitest'
import type { LockstepError } from '../../kernel/errors.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { labelOf } from '../../registry/definition.ts'
import { deleteModelVersion } from '../../registry/models/delete-model-version.ts'
import type { ModelContract } from '../../registry/models/model-contract.ts'
import { listModelEvents } from '../../registry/models/model-events.ts'
import { listModelVersions, readModelBytes, readModelPieces } from '../../registry/models/model-versions.ts'
import { pushModel } from '../../registry/models/models.ts'
import { promoteModel, rollBackModel } from '../../registry/models/promote.ts'
import { pruneDefinitions } from '../../registry/changes/prune.ts'
import { catalogRevision } from '../../registry/revision.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import type { TestRegistry } from './databases.ts'
import { flightsTable, hash, sampleSet } from './sample-set.ts'

const contract: ModelContract = {
  inputs: [{ name: 'input', type: 'float32', shape: ['N', 4], isTensor: true }],
  outputs: [{ name: 'probability', type: 'float32', shape: ['N', 1], isTensor: true }],
}

/** The contract of pushing models and reading them back, on any database. */
export function modelsContract(opened: () => TestRegistry): void {
  describe('a model', () => {
    let registry: TestRegistry

    beforeEach(async () => {
      registry = opened()
      await registry.reset()
      await registry.db.script(flightsTable)
      await applyChanges(registry.db, sampleSet())
    })

    const push = (text: string, fields: Partial<Parameters<typeof pushModel>[1]> = {}) =>
      pushModel(registry.db, { model: 'delay', bytes: Buffer.from(text), contract, ...fields })

    const refusal = async (work: Promise<unknown>): Promise<LockstepError> =>
      (await work.then(
        () => new Error('nothing was refused'),
        (error: unknown) => error,
      )) as LockstepError

    it('is stored under the next version with its hash, contract, metadata and service', async () => {
      const before = await catalogRevision(registry.db)
      const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, i) => i % 256))
      const made = {
        metadata: { auc: 0.71 },
        metrics: { loss: 0.2 },
        params: { depth: 3, loss: 'log' },
        gitCommit: 'abc',
        actor: 'ann@here',
      }
      const pushed = await push('', { bytes, ...made })
      expect(pushed.created).toBe(true)
      expect(pushed.binding.inputs[0]?.columns.map((column) => column.name)).toEqual(['landed1h', 'meanDelay6h', 'lastDelay', 'hour'])
      const { createdAt, ...version } = pushed.version
      expect(createdAt.getTime()).toBeGreaterThan(Date.now() - 60_000)
      const service = (await loadCatalog(registry.db)).service('flight_features')
      expect(version).toEqual({
        model: 'delay',
        version: 1,
        signature: null,
        sha256: hash(bytes),
        sizeBytes: 100_000,
        contract,
        metadata: { auc: 0.71 },
        metrics: { loss: 0.2 },
        params: { depth: 3, loss: 'log' },
        dataset: null,
        gitCommit: 'abc',
        pushedBy: 'ann@here',
        service: 'flight_features@1',
        serviceFingerprint: service.fingerprint,
      })
      expect(await readModelBytes(registry.db, 'delay', 1)).toEqual(bytes)
      expect(await catalogRevision(registry.db)).toBe(before + 1)
      expect((await loadCatalog(registry.db)).model('delay').versions).toEqual([pushed.version])
    })

    describe('that names a training set', () => {
      const trainedOn = async (id: string, service: string, fingerprint = '') => {
        const { fingerprint: own } = (await loadCatalog(registry.db)).service(service)
        await registry.db.query(
          `insert into lockstep.datasets (id, service, fingerprint, path, manifest) values ('${id}', '${service}', '${fingerprint || own}', '/sets/${id}', '{}')`,
        )
      }
      const by = { actor: 'ann', reason: undefined }

      it('is refused with other features of the same names, unless forced', async () => {
        await trainedOn('day-1', 'flight_features@1')
        expect((await push('one', { dataset: 'day-1' })).notes).toEqual([])
        await applyChanges(registry.db, sampleSet({ delays: { version: 2 }, context: { version: 2 }, service: { version: 2 } }))
        const error = await refusal(push('two', { dataset: 'day-1', alias: 'champion' }))
        expect([error.code, error.message]).toEqual([
          'DATASET_MISMATCH',
          'The model "delay" was trained on other features: the training set "day-1" has the features of "flight_features@1", but the model is served with those of "flight_features@2": "landed1h" comes from "airport_delays@1" there and from "airport_delays@2" here, "meanDelay6h" comes from "airport_delays@1" there and from "airport_delays@2" here, "lastDelay" comes from "airport_delays@1" there and from "airport_delays@2" here, and 1 more. Train it on a training set of "flight_features@2". If the difference is intended, push it with --dataset-mismatch.',
        ])
        const { notes, version } = await push('two', { dataset: 'day-1', datasetMismatch: true })
        expect(notes).toEqual([expect.stringContaining('has the features of "flight_features@1"')])
        // the file is there now, and was trained on no other features for that
        expect((await refusal(push('two', { alias: 'champion' }))).code).toBe('DATASET_MISMATCH')

        for (const alias of ['champion', 'challenger'])
          expect((await refusal(promoteModel(registry.db, 'delay', version.version, by, alias))).code).toBe('DATASET_MISMATCH')
        await promoteModel(registry.db, 'delay', 1, by)
        const meant = { datasetMismatch: true }
        expect(await promoteModel(registry.db, 'delay', version.version, by, 'champion', meant)).toMatchObject({ to: 2 })
        // what is served already is promoted again
        expect(await promoteModel(registry.db, 'delay', version.version, by)).toMatchObject({ changed: false })
      })

      it('is refused if its service had another definition, but not with equal features', async () => {
        await trainedOn('old', 'flight_features@1', 'another')
        const { message } = await refusal(push('one', { dataset: 'old' }))
        expect(message).toContain('it has the features of another definition of "flight_features@1"')
        await trainedOn('same', 'flight_features@1')
        await applyChanges(registry.db, sampleSet({ service: { version: 2 } }))
        expect((await push('one', { dataset: 'same' })).notes).toEqual([])
      })

      it('reports what it cannot compare without a training set', async () => {
        expect((await push('one')).notes).toEqual([
          'without --dataset, Lockstep cannot check that "delay" was trained on the features of "flight_features@1"',
        ])
      })
    })

    describe('with a deleted version', () => {
      const by = { actor: 'ann', reason: 'an experiment' }
      const remove = (version: number | string) => deleteModelVersion(registry.db, 'delay', version, by)
      const prune = async (...names: string[]) => {
        const { removed, kept } = await pruneDefinitions(registry.db, names, by, async () => undefined)
        return { removed: removed.map(labelOf), kept: kept.map(({ label, neededBy }) => [label, ...neededBy]) }
      }

      it('gives no number twice, and cannot be rolled back to it', async () => {
        for (const text of ['one', 'two', 'three']) await push(text)
        for (const version of [3, 2, 1]) await promoteModel(registry.db, 'delay', version, by, 'champion', { atOnce: true })
        expect((await remove(3)).freed).toEqual([])
        expect((await push('four')).version.version).toBe(4)
        await remove(2)
        expect((await refusal(rollBackModel(registry.db, 'delay', by))).message).toContain('it pointed to no version before 1')
        expect((await listModelVersions(registry.db, 'delay')).map(({ version }) => version)).toEqual([1, 4])
        expect((await listModelEvents(registry.db, 'delay', 1))[0]).toMatchObject({
          action: 'remove',
          alias: null,
          from: 2,
          to: null,
          reason: 'an experiment',
        })
        expect((await refusal(remove(2))).message).toBe('There is no version 2 of the model "delay": it has 1, 4.')
        expect((await refusal(remove('champion'))).message).toContain('by its number: it has 1, 4')
      })

      it('is refused while an alias points at it, or it answers without a champion', async () => {
        expect((await refusal(rollBackModel(registry.db, 'delay', by))).message).toMatch(
          /no version\. Push one: lockstep model push delay FILE\.$/,
        )
        await push('one', { alias: 'challenger' })
        expect((await refusal(rollBackModel(registry.db, 'delay', by))).message).toMatch(/so its only version, 1, answers\.$/)
        await push('two')
        expect((await refusal(rollBackModel(registry.db, 'delay', by))).message).toBe(
          'The model "delay" has no alias "champion" to roll back, so its newest version, 2, answers. To serve version 1 again: lockstep model promote delay@1.',
        )
        expect(await refusal(remove(1))).toMatchObject({
          code: 'IN_USE',
          message: expect.stringContaining('the alias "challenger" points to it'),
        })
        expect(await refusal(remove(2))).toMatchObject({
          code: 'IN_USE',
          message: expect.stringContaining('as the newest version of a model without a champion'),
        })
      })

      it('reports what it releases, which can be pruned only then', async () => {
        await push('one')
        await applyChanges(registry.db, sampleSet({ delays: { version: 2 }, context: { version: 2 }, service: { version: 2 } }))
        await push('two')
        const needs = ['feature service "flight_features@1"', 'model "delay" version 1']
        const asked = ['flight_features@1', 'flight_context@1', 'airport_delays@1']
        expect((await prune(...asked)).kept).toEqual([
          ['flight_features@1', 'model "delay" version 1'],
          ['flight_context@1', 'model "delay" version 1'],
          ['airport_delays@1', 'model "delay" version 1'],
        ])
        expect((await remove(1)).freed.map(labelOf)).toEqual(['airport_delays@1', 'flight_context@1', 'flight_features@1'])
        expect((await prune('airport_delays@1')).kept).toEqual([['airport_delays@1', 'on-demand view "flight_context@1"', needs[0]]])
        expect(await prune(...asked, 'landings', 'delay')).toEqual({
          removed: asked,
          kept: [
            ['landings', 'feature view "airport_delays@2"'],
            ['delay', 'model "delay" version 2'],
          ],
        })
        expect((await refusal(prune('airport_delays'))).message).toContain('Name the version: "airport_delays@2"')
        expect((await refusal(prune('airport_delay@2'))).message).toContain('Did you mean "airport_delays@2"?')
      })
    })

    it('pushed again is the existing version', async () => {
      const first = await push('one')
      const second = await push('two')
      const again = await push('one', { metadata: { note: 'again' } })
      expect([first.version.version, second.version.version]).toEqual([1, 2])
      expect(again.created).toBe(false)
      expect(again.version).toEqual(first.version)
      expect(again.notes).toEqual([
        expect.stringMatching(/^not stored, as version 1 keeps what it was pushed with: metadata of this push$/),
        'version 2 still answers requests, as it is the newest. To serve version 1: lockstep model promote delay@1',
      ])
      const more = await push('two', { metadata: {}, metrics: { auc: 0.7 }, params: { depth: 3 }, gitCommit: 'abc' })
      expect(more.notes).toEqual([expect.stringContaining(': metrics, params, git commit of')])
      expect((await push('two')).notes).toEqual([])
      expect(await listModelVersions(registry.db, 'delay')).toHaveLength(2)
    })

    it('pushed again for another service is a new version', async () => {
      await push('one')
      await applyChanges(registry.db, sampleSet({ service: { version: 2 } }))
      const again = await push('one')
      expect([again.created, again.version.version, again.version.service]).toEqual([true, 2, 'flight_features@2'])
    })

    it('gets a version of its own when many are pushed at once', async () => {
      const other = registry.url === null ? registry.db : openPostgres(registry.url)
      const pushed = await Promise.all(
        Array.from({ length: 8 }, (_, i) =>
          pushModel(i % 2 === 0 ? registry.db : other, { model: 'delay', bytes: Buffer.from(`model ${i}`), contract }),
        ),
      )
      if (other !== registry.db) await other.close()
      expect(pushed.map(({ version }) => version.version).sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
      for (const [i, { version }] of pushed.entries()) {
        expect(String(await readModelBytes(registry.db, 'delay', version.version))).toBe(`model ${i}`)
      }
    })

    it('that does not fit its service is refused and not stored', async () => {
      const wrong = { ...contract, inputs: [{ name: 'input', type: 'float32', shape: ['N', 3], isTensor: true }] }
      const error = await refusal(push('one', { contract: wrong }))
      expect(error.code).toBe('MODEL_MISMATCH')
      expect(error.message).toContain('[N, 4]')
      expect(await listModelVersions(registry.db)).toEqual([])
    })

    it('that is undeclared is refused, naming the nearest', async () => {
      const error = await refusal(push('one', { model: 'delays' }))
      expect([error.code, error.message]).toEqual(['UNKNOWN_DEFINITION', expect.stringContaining('Did you mean "delay"?')])
    })

    it('is read in small pieces, and a change of its stored bytes is reported after the last', async () => {
      const bytes = randomBytes(300_000)
      await push('', { bytes })
      const lengths: number[] = []
      const read = async (): Promise<Buffer> => {
        const { length, pieces } = await readModelPieces(registry.db, 'delay', 1)
        expect(length).toBe(300_000)
        const all: Uint8Array[] = []
        lengths.length = 0
        for await (const piece of pieces) {
          all.push(piece)
          lengths.push(piece.length)
        }
        return Buffer.concat(all)
      }
      expect(await read()).toEqual(bytes)
      expect(lengths).toEqual([131_072, 131_072, 37_856])
      await registry.db.query('update lockstep.model_versions set bytes = set_byte(bytes, 299999, get_byte(bytes, 299999) # 1)')
      expect((await refusal(read())).code).toBe('CODE_HASH_MISMATCH')
      expect(lengths).toHaveLength(3)
    })

    it('whose stored bytes were changed is not served', async () => {
      await push('one')
      await registry.db.query(`update lockstep.model_versions set bytes = 'two'`)
      const error = await refusal(readModelBytes(registry.db, 'delay', 1))
      expect([error.code, error.message]).toEqual(['CODE_HASH_MISMATCH', expect.stringContaining('"delay" version 1')])
      expect((await refusal(readModelBytes(registry.db, 'delay', 9))).code).toBe('UNKNOWN_DEFINITION')
    })
  })
}
