import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { Database } from '../../runtime/postgres/database.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { hasWorker, workerUrl } from '../../runtime/postgres/worker-sessions.ts'
import type { RestorablePostgres } from '../services/postgres.ts'
import { restorablePostgres } from '../services/postgres.ts'
import { failureOf } from './failure-of.ts'

let primary: RestorablePostgres
let standby: RestorablePostgres
const opened: Database[] = []

beforeAll(async () => {
  primary = await restorablePostgres()
  await primary.stop()
  standby = await primary.standby()
  await primary.start()
})
afterAll(async () => {
  for (const db of opened) await db.close()
  await Promise.all([primary?.remove(), standby?.remove()])
})

const placeOf = ({ url }: RestorablePostgres): string => new URL(url).host

function openOn(hosts: string): Database {
  const db = openPostgres(workerUrl(`postgres://postgres@${hosts}/postgres?target_session_attrs=read-write`))
  opened.push(db)
  return db
}

/** Each of two servers has 1.5 s to answer, which one that is paused may take: it is asked again. */
const asked = <T>(ask: () => Promise<T>): Promise<T> => vi.waitFor(ask, { timeout: 60_000 })

async function portOf(db: Database): Promise<string> {
  const [row] = await asked(() => db.query<{ port: string }>('select inet_server_port()::text as port'))
  return `127.0.0.1:${row?.port}`
}

it('uses the server that accepts writes, and after a promotion the new one without a restart', async () => {
  const hosts = [placeOf(standby), placeOf(primary)]
  const [first, second] = [openOn(hosts.join(',')), openOn(hosts.toReversed().join(','))]
  // many connections at a time agree on the server
  const ports = await Promise.all(Array.from({ length: 10 }, () => Promise.all([first, second].map(portOf))))
  expect(new Set(ports.flat())).toEqual(new Set([placeOf(primary)]))
  await asked(() => first.script('create table written (id int); insert into written values (1)'))
  expect(await asked(() => hasWorker(first))).toBe(true)
  const administrator = openPostgres(standby.url)
  opened.push(administrator)
  const sent = () => administrator.query(`select to_regclass('written') is not null as written`)
  await expect.poll(sent, { timeout: 60_000 }).toEqual([{ written: true }])
  await primary.stop()
  const refused = 'connect ECONNREFUSED 127.0.0.1'
  await asked(async () => {
    const text = String(await failureOf(first.ping()))
    expect(text).toContain(`PostgreSQL at "${hosts.join(',')}" cannot be used: `)
    expect(text).toContain(`${placeOf(primary)}: ${refused}`)
    expect(text).toContain(`${placeOf(standby)}: it accepts no writes`)
    expect(text).toMatch(/\. Start the primary, promote a standby, or correct LOCKSTEP_POSTGRES_URL\.$/)
  })

  await administrator.query('select pg_promote()')
  await expect.poll(() => first.ping().then(() => 'answers', String), { timeout: 60_000 }).toBe('answers')
  for (const db of [first, second]) {
    expect(await portOf(db)).toBe(placeOf(standby))
    await asked(() => db.query('insert into written select max(id) + 1 from written'))
  }
  expect(await asked(() => first.query('select id from written order by id'))).toEqual([{ id: 1 }, { id: 2 }, { id: 3 }])
})

it('leaves a server that accepts no more writes, and says so where none does', async () => {
  const db = openOn(`${placeOf(standby)},localhost:${new URL(standby.url).port}`)
  const administrator = openPostgres(standby.url)
  opened.push(administrator)
  const setReadOnly = async (value: 'on' | 'off') => {
    await administrator.script(`alter system set default_transaction_read_only = ${value}`)
    await administrator.script('select pg_reload_conf()')
  }
  await asked(() => db.ping())
  await setReadOnly('on')
  const message = () => failureOf(db.ping()).then(String)
  await expect.poll(message, { timeout: 60_000 }).toMatch(/: it accepts no writes.*Set LOCKSTEP_POSTGRES_URL to the primary/)
  await setReadOnly('off')
  await expect.poll(message, { timeout: 60_000 }).toBe('null')
})
