import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { applyChanges } from '../../registry/changes/apply.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { deleteTrainingSet } from '../../registry/delete-training-set.ts'
import type { ModelContract } from '../../registry/models/model-contract.ts'
import { listModelVersions } from '../../registry/models/model-versions.ts'
import { pushModel } from '../../registry/models/models.ts'
import { until } from '../serving/gate.ts'
import type { TestRegistry } from './databases.ts'
import { openRegistry } from './databases.ts'
import { flightsTable, sampleSet } from './sample-set.ts'

const contract: ModelContract = {
  inputs: [{ name: 'input', type: 'float32', shape: ['N', 4], isTensor: true }],
  outputs: [{ name: 'probability', type: 'float32', shape: ['N', 1], isTensor: true }],
}

let registry: TestRegistry

beforeAll(async () => {
  registry = await openRegistry('postgres')
})
afterAll(() => registry?.close())

beforeEach(async () => {
  await registry.reset()
  await registry.db.script(flightsTable)
  await applyChanges(registry.db, sampleSet())
  const { id, fingerprint } = (await loadCatalog(registry.db)).service('flight_features@1')
  await registry.db.query(
    `insert into lockstep.datasets (id, service, fingerprint, path, manifest) values ('day-1', '${id}', '${fingerprint}', '/sets/day-1', '{}')
     on conflict (id) do nothing`,
  )
})

const push = () => pushModel(registry.db, { model: 'delay', bytes: Buffer.from('one'), contract, dataset: 'day-1' })
const remove = (removeFiles = async (): Promise<string[]> => []) =>
  deleteTrainingSet(registry.db, 'day-1', { actor: 'ann@here' }, removeFiles)
const sets = async () => await registry.db.kysely.selectFrom('lockstep.datasets').select('id').execute()

/** How many transactions of this database wait for a lock. */
async function waiting(): Promise<number> {
  const [row] = await registry.db.query<{ n: string }>(
    `select count(*) as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
  )
  return Number(row?.n)
}

/** Resolves once the work waits for a lock of another, or has ended. */
async function untilWaits(work: Promise<unknown>, others: number): Promise<void> {
  let ended = false
  work.then(
    () => (ended = true),
    () => (ended = true),
  )
  await until(async () => ended || (await waiting()) > others)
}

it('refuses to delete the training set of a push that has not ended yet', async () => {
  const outcome = await registry.db.kysely.transaction().execute(async (held) => {
    // stops the push after it has stored its version, before that can be seen
    await sql`select from lockstep.registry_state for update`.execute(held)
    const pushing = push()
    await untilWaits(pushing, 0)
    const removing = remove()
    await untilWaits(removing, 1)
    return { pushing, removing: removing.catch((error: unknown) => error) }
  })
  expect((await outcome.pushing).version).toMatchObject({ version: 1, dataset: 'day-1' })
  expect(await outcome.removing).toMatchObject({ code: 'IN_USE', message: expect.stringContaining('delay@1 was trained on it') })
  expect(await sets()).toEqual([{ id: 'day-1' }])
})

it('refuses a push that names a training set under deletion', async () => {
  let pushing: Promise<unknown> = Promise.resolve()
  const removed = await remove(async () => {
    pushing = push().catch((error: unknown) => error)
    await untilWaits(pushing, 0)
    return ['/sets/day-1']
  })
  expect(removed).toEqual(['/sets/day-1'])
  expect(await pushing).toMatchObject({ code: 'UNKNOWN_DEFINITION' })
  expect([await sets(), await listModelVersions(registry.db)]).toEqual([[], []])
})

it('keeps the training set if its files cannot be removed', async () => {
  await expect(remove(() => Promise.reject(new Error('no access')))).rejects.toThrow('no access')
  expect(await sets()).toEqual([{ id: 'day-1' }])
})
