import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Database } from '../../runtime/postgres/database.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { definitionFiles } from '../registry/definition-files.ts'
import { testDatabase } from '../services/index.ts'
import { ownRedis } from '../services/own-redis.ts'
import type { RedisServer } from '../services/redis-server.ts'
import type { TestSentinels } from '../services/redis-sentinel.ts'
import { testSentinels } from '../services/redis-sentinel.ts'
import { must } from './lockstep.ts'
import type { Environment, Running } from './run-lockstep.ts'
import { killAll, start, whenReady } from './run-lockstep.ts'

const files = definitionFiles({
  'followed.ts': `
  import { count, entity, featureService, featureView, last, source, t } from 'lockstep'
  const thing = entity('thing', { key: { thing: t.string } })
  const rows = source('rows', { key: { thing: 'thing' }, eventTime: 'at', columns: { x: t.int32 } })
  export const view = featureView('view', { version: 1, entity: thing, source: rows, online: true, features: { x: last('x'), n: count('lifetime') } })
  export const service = featureService('things', { version: 1, features: [view] })`,
})
const things = Array.from({ length: 5 }, (_, i) => `thing ${i}`)

describe.each(['redis-server', 'valkey-server'] satisfies RedisServer[])('with the Sentinels of %s', (kind) => {
  let folder: string
  let sentinels: TestSentinels
  let db: Database
  let env: Environment
  let drop: () => Promise<void>
  let server: Running
  let worker: Running
  let url: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lockstep-sentinel-'))
    const [database, own] = await Promise.all([testDatabase(), testSentinels(kind)])
    ;[sentinels, drop] = [own, database.drop]
    db = openPostgres(database.url)
    env = {
      LOCKSTEP_POSTGRES_URL: database.url,
      LOCKSTEP_REDIS_URL: sentinels.url,
      LOCKSTEP_REDIS_PREFIX: 'followed',
      LOCKSTEP_DIR: folder,
    }
    await must(env, 'apply', join(files, 'followed.ts'))
    ;[server, worker] = [start(env, 'serve', '--port', '0'), start(env, 'worker')]
    url = (await server.until(/Listening on (http[^\s,]+?)[.,]?\s/))[1] ?? ''
    await whenReady(url)
  })
  afterAll(async () => {
    killAll()
    await db?.close()
    await drop?.()
    await sentinels?.stop()
    await rm(folder, { recursive: true, force: true })
  })

  async function post(path: string, body: object): Promise<{ readonly status: number; readonly body: { readonly online?: boolean } }> {
    const response = await fetch(`${url}${path}`, { method: 'POST', body: JSON.stringify(body) })
    return { status: response.status, body: JSON.parse(await response.text()) }
  }

  let pushed = 0
  /** Whether the event is online already. */
  async function push(): Promise<boolean> {
    const at = new Date(Date.UTC(2001, 0, 1) + pushed * 1_000).toISOString()
    const { status, body } = await post('/v1/sources/rows/events', { events: [{ thing: things[pushed % things.length], at, x: pushed++ }] })
    expect(status).toBe(200)
    return body.online === true
  }

  const read = () => post('/v1/features', { service: 'things', entities: things.map((thing) => ({ thing })) })

  /** Waits until the server gives all rows of the table. */
  async function complete(): Promise<void> {
    const stored = await db.query<{ x: number; n: number }>(
      'select (array_agg(x order by at desc))[1] x, count(*)::int n from lockstep_source.rows group by thing order by thing',
    )
    const results = stored.map((features) => expect.objectContaining({ features: { x: features.x, n: features.n } }))
    await expect.poll(read, { timeout: 60_000 }).toMatchObject({ status: 200, body: { results } })
  }

  it('a server and a worker follow a new primary, and serve all rows', async () => {
    for (let i = 0; i < 20; i++) await push()
    await complete()
    const former = await sentinels.primary()
    process.kill(former.pid, 'SIGKILL')
    await expect.poll(push, { timeout: 60_000 }).toBe(true)
    // each Sentinel hears of it from another
    await expect.poll(async () => (await sentinels.primary()).port, { timeout: 60_000 }).not.toBe(former.port)
    await complete()
    sentinels.servers.push(await ownRedis(kind, { port: former.port, args: ['--repl-diskless-sync-delay', '0'] }))
    await sentinels.whole()
    await expect.poll(push, { timeout: 60_000 }).toBe(true)
    await complete()
    for (const { child } of [server, worker]) child.kill('SIGTERM')
    expect([(await server.ended).code, (await worker.ended).code]).toEqual([0, 0])
  })
})
