import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { killAll } from '../cli/run-lockstep.ts'
import { testDatabase, testRedis } from '../services/index.ts'
import type { Adapter } from './adapter.ts'
import { readCases } from './conformance-case.ts'
import { createLockstepAdapter } from './lockstep/lockstep-adapter.ts'
import { recordTraining } from './record-training.ts'
import { runCase } from './run-case.ts'

const cases = await readCases(join(import.meta.dirname, 'cases'))
let adapter: Adapter
let folder: string
let drop: () => Promise<void>

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-conformance-'))
  const [database, redis] = [await testDatabase({ migrate: false }), await testRedis()]
  drop = database.drop
  adapter = await createLockstepAdapter(
    {
      LOCKSTEP_POSTGRES_URL: database.url,
      LOCKSTEP_REDIS_URL: redis.url,
      LOCKSTEP_REDIS_PREFIX: redis.prefix,
      LOCKSTEP_DIR: join(folder, 'unused'),
      // no machine of anybody's may decide what a time without a zone means
      PGTZ: 'America/Los_Angeles',
    },
    folder,
    recordTraining,
  )
  await adapter.define(cases.map((each) => join(each.folder, adapter.definitions)))
})

afterAll(async () => {
  await adapter?.close()
  killAll()
  await drop?.()
  await rm(folder, { recursive: true, force: true })
})

describe('the conformance cases', () => {
  it.for(cases)('$id: $title', async (each) => {
    await runCase(adapter, each)
  })
})
