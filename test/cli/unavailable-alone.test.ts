import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { definitionFiles } from '../registry/definition-files.ts'
import type { TestDatabase } from '../services/index.ts'
import { testDatabase } from '../services/index.ts'
import { lockstep, must } from './lockstep.ts'
import type { Environment } from './run-lockstep.ts'

const features = `import { count, entity, featureView, source, t } from 'lockstep'
const airport = entity('airport', { key: { airport: t.string } })
const landings = source('landings', { key: { airport: 'airport' }, eventTime: 'at', columns: { delay: t.float64 } })
export const delays = featureView('delays', { version: 1, entity: airport, source: landings, online: true, features: { landed: count('1h') } })
`
let database: TestDatabase
let env: Environment
beforeAll(async () => {
  database = await testDatabase()
  env = { LOCKSTEP_POSTGRES_URL: database.url, LOCKSTEP_REDIS_URL: 'redis://127.0.0.1:1' }
  await must(env, 'apply', join(definitionFiles({ 'features.ts': features }), 'features.ts'))
})
afterAll(() => database?.drop())

async function failure(words: readonly string[], environment: Environment): Promise<{ readonly code: string; readonly tookMs: number }> {
  const started = performance.now()
  const { err } = await lockstep(environment, ...words, '--json')
  return { code: (JSON.parse(err) as { error: { code: string } }).error.code, tookMs: performance.now() - started }
}

it('a service that is down is reported within five seconds', async () => {
  // by the process that has run "apply"
  const postgres = await failure(['status'], { LOCKSTEP_POSTGRES_URL: 'postgres://root@127.0.0.1:1/none' })
  const redis = await failure(['materialize'], env)
  expect([postgres.code, redis.code]).toEqual(['POSTGRES_UNAVAILABLE', 'REDIS_UNAVAILABLE'])
  expect(Math.max(postgres.tookMs, redis.tookMs)).toBeLessThan(5_000)
})
