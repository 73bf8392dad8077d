import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { killAll } from '../cli/run-lockstep.ts'
import type { Adapter } from '../conformance/adapter.ts'
import { createLockstepAdapter } from '../conformance/lockstep/lockstep-adapter.ts'
import { recordTraining } from '../conformance/record-training.ts'
import { testDatabase, testRedis } from '../services/index.ts'
import { runWorld } from './run-world.ts'
import { worldArbitrary } from './world.ts'

/** Seconds in which new worlds are begun; 0: one world. `npm run oracle` sets it high. */
const seconds = Number(process.env['LOCKSTEP_TEST_ORACLE_SECONDS'] ?? 0)
/** The seed of the first world; each further one has the next. To see a failure again, set the seed that it names. */
const firstSeed = Number(process.env['LOCKSTEP_TEST_ORACLE_SEED'] ?? Date.now() % 2 ** 31)

let adapter: Adapter
let folder: string
let drop: () => Promise<void>

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-oracle-'))
  const [database, redis] = [await testDatabase({ migrate: false }), await testRedis()]
  drop = database.drop
  adapter = await createLockstepAdapter(
    {
      LOCKSTEP_POSTGRES_URL: database.url,
      LOCKSTEP_REDIS_URL: redis.url,
      LOCKSTEP_REDIS_PREFIX: redis.prefix,
      LOCKSTEP_DIR: join(folder, 'unused'),
    },
    folder,
    recordTraining,
  )
})

afterAll(async () => {
  await adapter?.close()
  killAll()
  await drop?.()
  await rm(folder, { recursive: true, force: true })
})

describe('generated definitions', () => {
  it('serve and train the exact values of the oracle', { timeout: seconds * 1000 + 120_000 }, async () => {
    const until = Date.now() + seconds * 1000
    let compared = 0
    for (let seed = firstSeed; compared === 0 || Date.now() < until; seed++) {
      const [world] = fc.sample(worldArbitrary(String(seed)), { seed, numRuns: 1 })
      if (world === undefined) throw new Error('no world was made')
      compared += await runWorld(adapter, folder, String(seed), world).catch((error: Error) => {
        error.message = `LOCKSTEP_TEST_ORACLE_SEED=${seed} shows it again. ${error.message}`
        throw error
      })
    }
    expect(compared).toBeGreaterThan(1000)
  })
})
