import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import type { DelayedProxy } from '../monitoring/faults/delayed-proxy.ts'
import { delayedProxy } from '../monitoring/faults/delayed-proxy.ts'
import type { TestDatabase } from '../services/index.ts'
import { testDatabase } from '../services/index.ts'
import { failureOf } from './failure-of.ts'

// A server whose host or network is lost: connections stay open, and nothing arrives over them.

let database: TestDatabase
beforeAll(async () => {
  database = await testDatabase({ migrate: false })
})
afterAll(() => database?.drop())

/** @param others how many servers the URL names besides the one that falls silent; they answer */
async function loseServer(others: number, ping: 'answers' | 'fails'): Promise<unknown> {
  const { hostname, port } = new URL(database.url)
  const proxies: DelayedProxy[] = []
  for (let at = 0; at <= others; at++) proxies.push(await delayedProxy(hostname, Number(port)))
  const url = database.url.replace(`${hostname}:${port}`, proxies.map((proxy) => `${hostname}:${proxy.port}`).join(','))
  const db = openPostgres(url)
  try {
    // no connection is idle, so that the ping opens one
    const running = failureOf(db.query('select pg_sleep(600)'))
    const active = `select count(*)::int as active from pg_stat_activity where datname = current_database() and query like 'select pg_sleep%'`
    const administrator = openPostgres(database.url)
    await vi.waitFor(async () => expect(await administrator.query(active)).toEqual([{ active: 1 }]), { timeout: 60_000 })
    const [first] = proxies
    if (first !== undefined) first.delayMs = Infinity
    const answer = () =>
      db.ping().then(
        () => 'answers',
        () => 'fails',
      )
    await expect.poll(answer, { timeout: 60_000 }).toBe(ping)
    const failure = await running
    await administrator.query(`select pg_terminate_backend(pid) from pg_stat_activity where query like 'select pg_sleep%'`)
    await administrator.close()
    return failure
  } finally {
    await db.close()
    for (const proxy of proxies) await proxy.close()
  }
}

const unavailable = expect.objectContaining({ code: 'POSTGRES_UNAVAILABLE' }) as unknown

it('ends statements on a server that falls silent while the ping must connect', async () => {
  expect(await loseServer(0, 'fails')).toEqual(unavailable)
})

it('ends statements on a server that falls silent once another one answers', async () => {
  expect(await loseServer(1, 'answers')).toEqual(unavailable)
})
