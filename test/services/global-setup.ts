import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import type { ProvidedContext } from 'vitest'
import type { TestProject } from 'vitest/node'
import type { Service } from './keeper.ts'
import { administer } from './administer.ts'
import { postgresWays } from './postgres.ts'
import { redisWays } from './redis.ts'
import { requireRedis } from './redis-server.ts'
import { forgetServicePolicy } from './service-policy.ts'
import { provideTemplate } from './template.ts'
import { firstThatWorks } from './ways.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** The addresses of the services of this run. A worker takes the PostgreSQL cluster of its own number. */
    services: { readonly run: string; readonly postgres: readonly string[]; readonly redis: string }
  }
}

interface Started {
  readonly services: ProvidedContext['services']
  stop(): Promise<void>
}

/**
 * The services of this run. Each vitest project loads this module again, so they are kept where all projects find them.
 */
const shared = globalThis as { lockstepTestServices?: Promise<Started> }

/** Gives the tests of a project the services of the run. The first project that asks finds or starts them. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { services, stop } = await (shared.lockstepTestServices ??= start(project.config.maxWorkers))
  project.provide('services', services)
  return stop
}

/**
 * Finds or starts the services. Each worker has its own PostgreSQL cluster, because an open transaction in one database
 * holds back `pg_snapshot_xmin` in all databases of its cluster.
 */
async function start(workers: number): Promise<Started> {
  const run = `lockstep_test_${randomBytes(4).toString('hex')}`
  const started: Service[] = []
  await forgetServicePolicy()
  try {
    const found = await Promise.allSettled([firstThatWorks('PostgreSQL', postgresWays, workers), firstThatWorks('Redis', redisWays, 1)])
    const [clusters, redis] = found.map((result) => {
      if (result.status === 'rejected') return []
      started.push(...result.value)
      return result.value
    })
    const reasons = found.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
    if (reasons.length > 0) throw reasons.length === 1 ? reasons[0] : new Error(reasons.map(String).join('\n'))
    const postgres = (clusters ?? []).map((cluster) => cluster.url)
    const redisUrl = redis?.[0]?.url ?? ''
    await checkRedis(redisUrl).catch(unusable('Redis', redisUrl, 'LOCKSTEP_TEST_REDIS_URL'))
    await Promise.all(
      postgres.map((url) => provideTemplate(url, `${run}_template`).catch(unusable('PostgreSQL', url, 'LOCKSTEP_TEST_POSTGRES_URL'))),
    )
    let stopped: Promise<void> | undefined
    return { services: { run, postgres, redis: redisUrl }, stop: () => (stopped ??= stop()) }

    async function stop(): Promise<void> {
      const left = (await Promise.all(postgres.map((url) => dropDatabases(url, run)))).flat()
      await forgetKeys(redisUrl, `${run}:`)
      await Promise.all(started.map((service) => service.stop()))
      if (left.length > 0) throw new Error(`${left.length} test databases were not dropped: a test file lacks its "await database.drop()".`)
    }
  } catch (error) {
    await Promise.all(started.map((service) => service.stop()))
    throw error
  }
}

function unusable(service: string, url: string, variable: string): (cause: unknown) => never {
  return (cause) => {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`The tests cannot use the ${service} at "${new URL(url).host}": ${why}. Where ${variable} names it, correct that.`, {
      cause,
    })
  }
}

/** Drops what the run has created, and returns the databases that the tests should have dropped. */
async function dropDatabases(url: string, run: string): Promise<string[]> {
  return administer(url, async (client) => {
    const { rows } = await client.query<{ datname: string }>('select datname from pg_database where starts_with(datname, $1)', [run])
    for (const { datname } of rows) await client.query(`drop database "${datname}" with (force)`)
    return rows.map((row) => row.datname).filter((name) => name !== `${run}_template`)
  })
}

async function checkRedis(url: string): Promise<void> {
  await withRedis(url, async (redis) =>
    requireRedis(/^redis_version:(.*)$/m.exec(await redis.info('server'))?.[1]?.trim() ?? 'of an unknown version'),
  )
}

async function forgetKeys(url: string, prefix: string): Promise<void> {
  await withRedis(url, async (redis) => {
    for await (const keys of redis.scanStream({ match: `${prefix}*`, count: 1000 })) {
      if (Array.isArray(keys) && keys.length > 0) await redis.unlink(keys.map(String))
    }
  })
}

async function withRedis(url: string, fn: (redis: Redis) => Promise<void>): Promise<void> {
  const redis = new Redis(url, { lazyConnect: true, retryStrategy: () => null, connectTimeout: 60_000 })
  redis.on('error', () => undefined)
  try {
    await redis.connect()
    await fn(redis)
  } finally {
    redis.disconnect()
  }
}
