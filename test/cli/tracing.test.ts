import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bareEnvironment } from '../bare-environment.ts'
import { definitionFiles } from '../registry/definition-files.ts'
import { testDatabase, testRedis } from '../services/index.ts'
import type { Collector } from '../tracing/collector.ts'
import { openCollector } from '../tracing/collector.ts'
import { must } from './lockstep.ts'
import type { Environment } from './run-lockstep.ts'
import { killAll, start } from './run-lockstep.ts'

const features = `import { count, entity, featureView, source, t } from 'lockstep'
const shop = entity('shop', { key: { shop: t.string } })
const sales = source('sales', { key: { shop: 'shop' }, eventTime: 'at', columns: { amount: t.float64 } })
export const busy = featureView('busy', { version: 1, entity: shop, source: sales, online: true, features: { sold1h: count('1h') } })
`
let folder: string
let env: Environment
let collector: Collector
let drop: () => Promise<void>

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-tracing-'))
  const [database, redis] = [await testDatabase(), await testRedis()]
  collector = await openCollector()
  drop = database.drop
  env = {
    LOCKSTEP_POSTGRES_URL: database.url,
    LOCKSTEP_REDIS_URL: redis.url,
    LOCKSTEP_REDIS_PREFIX: redis.prefix,
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
  }
  await must(env, 'apply', join(definitionFiles({ 'features.ts': features }), 'features.ts'))
  await writeFile(join(folder, 'sales.csv'), 'at,shop,amount\n2001-06-30T10:00:00Z,a,1\n')
  await must(env, 'ingest', 'sales', join(folder, 'sales.csv'))
})
afterAll(async () => {
  killAll()
  await collector?.[Symbol.asyncDispose]()
  await drop?.()
  await rm(folder, { recursive: true, force: true })
})

describe('a trace', () => {
  it('of a worker has the steps of its jobs, and is sent before the worker ends', async () => {
    const worker = start({ ...env, OTEL_BSP_SCHEDULE_DELAY: '600000' }, 'worker')
    await worker.until(/finish of backfill .*"a job is done"/)
    worker.child.kill('SIGTERM')
    expect((await worker.ended).code).toBe(0)
    const jobs = collector.spans.filter(({ name }) => name.startsWith('job backfill'))
    expect(jobs.map(({ name }) => name)).toEqual(['job backfill chunk', 'job backfill finish'])
    expect(jobs[0]).toMatchObject({ kind: 5, status: 0, attributes: { 'lockstep.job.subject': 'busy@1', 'lockstep.job.attempt': 0 } })
  })

  it('of a run of a view says what was folded', async () => {
    await must(env, 'materialize', '--rebuild')
    const [run] = await collector.trace(({ name }) => name === 'materialize view')
    expect(run?.attributes).toEqual({
      'lockstep.view': 'busy@1',
      'lockstep.mode': 'incremental',
      'lockstep.rows': 1,
      'lockstep.entities': 1,
    })
  })
})

describe('a server', () => {
  it.each([
    ['without an endpoint loads nothing of OpenTelemetry', {}, false],
    ['with an endpoint loads it', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' }, true],
  ])('%s', async (_title, more: Environment, isLoaded) => {
    const stores = { LOCKSTEP_POSTGRES_URL: 'postgres://127.0.0.1:9/none', LOCKSTEP_REDIS_URL: 'redis://127.0.0.1:9' }
    const environment = { ...bareEnvironment, ...stores, LOCKSTEP_LOG_LEVEL: 'silent', ...more }
    const script = join(import.meta.dirname, 'traced-server-process.ts')
    const { stdout } = await promisify(execFile)(process.execPath, [script], { env: environment })
    const { status, loaded } = JSON.parse(stdout) as { status: number; loaded: number }
    expect([status, loaded > 0]).toEqual([503, isLoaded])
  })
})
