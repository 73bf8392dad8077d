import { randomBytes } from 'node:crypto'
import { createServer, type Server } from 'node:net'
import { sql } from 'kysely'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Database } from '../../runtime/postgres/database.ts'
import { waitForEarlierTransactions } from '../../runtime/postgres/earlier-transactions.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { checkDatabase } from '../../cli/doctor/database-checks.ts'
import { watchDependencies } from '../../cli/watch-dependencies.ts'
import { createMetricsRegistry } from '../../runtime/metrics.ts'
import { isOutage, isTemporary } from '../../runtime/is-temporary.ts'
import { asLockstepError, postgresUnavailable } from '../../runtime/postgres/postgres-unavailable.ts'
import { createLogger } from '../../runtime/log.ts'
import { createStores } from '../../serving/lifecycle/stores.ts'
import { shownError } from '../../serving/traffic/shown-error.ts'
import { administer } from '../services/administer.ts'
import { type TestDatabase, testDatabase } from '../services/index.ts'
import { unlessSlow } from '../unless-slow.ts'
import { databaseContract } from './database-contract.ts'
import { failureOf } from './failure-of.ts'
import { textRows } from './tuples.ts'

databaseContract('PostgreSQL', async () => {
  const database = await testDatabase({ migrate: false })
  const db = openPostgres(database.url)
  return {
    db,
    close: async () => {
      await db.close()
      await database.drop()
    },
  }
})

describe('PostgreSQL', () => {
  let database: TestDatabase
  let db: Database

  beforeAll(async () => {
    database = await testDatabase({ migrate: false })
    db = openPostgres(database.url)
    await db.script(`create table item (id int, name text); insert into item select i, repeat('x', 100) from generate_series(1, 200000) i`)
  })
  afterAll(async () => {
    await db?.close()
    await database?.drop()
  })

  /** The sessions of this database, other than the one that asks. */
  async function sessions(state: string): Promise<number> {
    const [row] = await db.query<{ sessions: number }>(
      `select count(*)::int as sessions from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and state = $1 and backend_type = 'client backend'`,
      [state],
    )
    return row?.sessions ?? -1
  }

  it('excludes later commits from a snapshot, in every stream', async () => {
    await db.snapshot(async (snapshot) => {
      await db.query(`insert into item values (-1, 'later')`)
      expect(await textRows(snapshot, 'select name from item where id < 0')).toEqual([])
      await db.query('delete from item where id = -1')
      expect(await textRows(snapshot, 'select name from item where id < 0')).toEqual([])
      expect(await snapshot.query('select count(*)::int as rows from item')).toEqual([{ rows: 200_000 }])
    })
  })

  it('has an xmin at or below a transaction that is still open', async () => {
    const client = new pg.Client(database.url)
    await client.connect()
    await client.query('begin')
    const { rows } = await client.query<{ xid: string }>('select pg_current_xact_id()::text as xid')
    const open = Number(rows[0]?.xid)
    const [later] = await db.query<{ xid: string }>('select pg_current_xact_id()::text as xid')
    expect(Number(later?.xid)).toBeGreaterThan(open)
    expect(await db.snapshot((snapshot) => Promise.resolve(snapshot.xmin))).toBe(open)
    await client.query('commit')
    await client.end()
    expect(await db.snapshot((snapshot) => Promise.resolve(snapshot.xmin))).toBeGreaterThan(Number(later?.xid))
  })

  it('ends a stream on the server when it is left, even during a sort', async () => {
    await db.snapshot(async (snapshot) => {
      for await (const batch of snapshot.tuples('select * from item')) {
        expect(batch.starts.length).toBeGreaterThan(0)
        break
      }
      await expect.poll(() => sessions('active')).toBe(0)
      const stream = snapshot.tuples('select a.name from item a, item b order by a.name')[Symbol.asyncIterator]()
      void stream.next().catch(() => undefined)
      while ((await sessions('active')) === 0) await new Promise((resolve) => setTimeout(resolve, 10))
    })
    // on a busy machine it takes the server longer to end it than the client waits
    await expect.poll(() => sessions('active'), { timeout: 60_000 }).toBe(0)
  })

  it('ends streams that are left together, beside a query, one after the other', async () => {
    // pg warns of a query on a connection that still runs another one
    await db.snapshot(async (snapshot) => {
      const streams = Array.from({ length: 3 }, () => snapshot.tuples('select * from item')[Symbol.asyncIterator]())
      for (const stream of streams) await stream.next()
      const asked = snapshot.query('select pg_sleep(0.1)')
      await Promise.all(streams.map(async (stream) => await stream.return?.()))
      expect(await asked).toHaveLength(1)
    })
    await expect.poll(() => sessions('active'), { timeout: 60_000 }).toBe(0)
  })

  it('does not read ahead of a slow reader without bounds', async () => {
    await db.snapshot(async (snapshot) => {
      const before = process.memoryUsage().arrayBuffers
      const stream = snapshot.tuples(`select repeat('x', 100000) from item`)[Symbol.asyncIterator]()
      await stream.next()
      await new Promise((resolve) => setTimeout(resolve, 300))
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(50_000_000)
    })
  })

  it('survives the end of its sessions, in use and idle', async () => {
    const kill = 'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()'
    const administrator = new pg.Client(database.url)
    await administrator.connect()
    const sleeping = failureOf(db.query('select pg_sleep(10)'))
    while (
      (await administrator.query(`select 1 from pg_stat_activity where datname = current_database() and query = 'select pg_sleep(10)'`))
        .rowCount === 0
    );
    await administrator.query(kill)
    expect(await sleeping).toMatchObject({ code: 'POSTGRES_UNAVAILABLE' })
    await vi.waitFor(() => db.ping(), 60_000)

    await expect(
      db.snapshot(async (snapshot) => {
        for await (const batch of snapshot.tuples('select * from item')) {
          expect(batch.starts.length).toBeGreaterThan(0)
          await administrator.query(kill)
        }
      }),
    ).rejects.toMatchObject({ code: 'POSTGRES_UNAVAILABLE' })
    await administrator.end()
    await vi.waitFor(() => db.ping(), 60_000)
  })

  it('listens again after a lost connection, and reports that it missed notifications', async () => {
    let notices = 0
    const stop = await db.listen('lost_channel', () => notices++)
    await vi.waitFor(() => expect(notices).toBe(1), 60_000)
    const ended = await db.query<{ ended: boolean }>(
      `select pg_terminate_backend(pid) as ended from pg_stat_activity where datname = current_database() and query = 'LISTEN "lost_channel"'`,
    )
    expect(ended).toEqual([{ ended: true }])
    await vi.waitFor(() => expect(notices).toBe(2), 60_000)
    await db.query(`select pg_notify('lost_channel', '')`)
    await vi.waitFor(() => expect(notices).toBe(3), 60_000)
    await stop()
  })

  it('ends what listens with it', async () => {
    const other = openPostgres(database.url)
    await other.listen('closed_channel', () => undefined)
    await other.ping()
    await other.close()
    const left = `select count(*)::int as n from pg_stat_activity where datname = current_database() and query = 'LISTEN "closed_channel"'`
    await vi.waitFor(async () => expect(await db.query(left)).toEqual([{ n: 0 }]), 60_000)
  })

  it('ends a statement on the server when its signal is given, and hits no other', async () => {
    const abort = new AbortController()
    const sleeping = failureOf(db.query('select pg_sleep(600)', [], { signal: abort.signal }))
    const asleep = () =>
      db.query(`select 1 from pg_stat_activity where datname = current_database() and query = 'select pg_sleep(600)' and state = 'active'`)
    while ((await asleep()).length === 0);
    abort.abort(new Error('enough'))
    expect(String(await sleeping)).toBe('Error: enough')
    // a session tells of its failure before its state
    await expect.poll(asleep, { timeout: 60_000 }).toEqual([])
  })

  it('runs a burst of snapshots with few connections', async () => {
    let most = 0
    const run = new Set<number>()
    await Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        db
          .snapshot(async (snapshot) => {
            run.add(i)
            const open = `select count(*)::int as open from pg_stat_activity where datname = current_database() and backend_type = 'client backend'`
            const [row] = await snapshot.query<{ open: number }>(open)
            most = Math.max(most, row?.open ?? 0)
            if (i === 3) throw new Error('one of them fails')
          })
          .catch(() => undefined),
      ),
    )
    expect(most).toBeLessThanOrEqual(8 + 10)
    expect(run.size).toBe(60)
  })

  it("applies its session settings beside those of the URL, and over the role's", async () => {
    const url = new URL(database.url)
    url.searchParams.set('options', '-c search_path=elsewhere -c TimeZone=Asia/Tokyo')
    const other = openPostgres(url.href)
    const settings = `select current_setting('search_path') as path, current_setting('TimeZone') as zone, current_setting('application_name') as name`
    expect(await other.query(settings)).toEqual([{ path: 'elsewhere', zone: 'UTC', name: 'lockstep' }])
    await other.close()
  })

  it('reads nulls in arrays and what others have committed, and compiles nothing, whatever the database sets', async () => {
    const own = await testDatabase({ migrate: false })
    await administer(own.url, async (client) => {
      for (const setting of [
        'array_nulls = off',
        `default_transaction_isolation = 'repeatable read'`,
        `idle_session_timeout = '1h'`,
        'jit_above_cost = 0',
      ])
        await client.query(`alter database "${new URL(own.url).pathname.slice(1)}" set ${setting}`)
    })
    const other = openPostgres(own.url)
    try {
      const read = `select $1::text[] as texts, current_setting('idle_session_timeout') as idle`
      expect(await other.query(read, [['a', null]])).toEqual([{ texts: ['a', null], idle: '0' }])
      const plan = await other.query('explain (analyze, format json) select count(*) from pg_class')
      expect(JSON.stringify(plan)).not.toContain('JIT')
      await other.query('create table counted (n int)')
      const seen = await other.kysely.transaction().execute(async (transaction) => {
        const count = () => sql<{ n: number }>`select count(*)::int as n from counted`.execute(transaction)
        const before = await count()
        await other.query('insert into counted values (1)')
        return [before.rows, (await count()).rows]
      })
      expect(seen).toEqual([[{ n: 0 }], [{ n: 1 }]])
    } finally {
      await other.close()
      await own.drop()
    }
  })

  it('identifies itself as Lockstep, for any application name in the URL', async () => {
    const url = new URL(database.url)
    url.searchParams.set('application_name', 'billing')
    const other = openPostgres(url.href)
    try {
      await other.kysely.transaction().execute(async (transaction) => {
        const { rows } = await sql<{ name: string }>`select current_setting('application_name') as name`.execute(transaction)
        expect(rows).toEqual([{ name: 'lockstep billing' }])
        expect(await waitForEarlierTransactions(db, 100)).toBe(false)
      })
      expect(await waitForEarlierTransactions(db, 60_000)).toBe(true)
    } finally {
      await other.close()
    }
  })

  it('waits for a free connection without a limit, and runs any number of statements', async () => {
    const results = await Promise.all(Array.from({ length: 40 }, (_, i) => db.query('select $1::int as i, pg_sleep(0.01)', [i])))
    expect(results.map(([row]) => row?.['i'])).toEqual(Array.from({ length: 40 }, (_, i) => i))
  })

  it('reports a database that accepts no writes as unavailable, with the remedy', async () => {
    const url = new URL(database.url)
    url.searchParams.set('options', '-c default_transaction_read_only=on')
    const standby = openPostgres(url.href)
    try {
      const error = await failureOf(standby.query('create table refused (x int)'))
      expect(shownError('r', error)).toMatchObject({
        code: 'POSTGRES_UNAVAILABLE',
        message: 'The database, which this request needs, accepts no writes; try again soon.',
      })
      expect(asLockstepError(error)).toMatchObject({
        code: 'POSTGRES_UNAVAILABLE',
        message:
          'The database accepts no writes: cannot execute CREATE TABLE in a read-only transaction. Set LOCKSTEP_POSTGRES_URL to the primary, or make the database writable.',
      })
      expect(standby.obstacle?.()).toBe(null)
      await standby.ping()
      expect(standby.obstacle?.()).toMatch(/^PostgreSQL at ".+:\d+" accepts no writes\. Set LOCKSTEP_POSTGRES_URL to the primary/)
      const watched = await watchDependencies({ db: standby, store: null }, createMetricsRegistry(), createLogger('silent'))
      expect(watched.readiness()).toEqual({ ready: true, failing: [], degraded: ['database'], warnings: [standby.obstacle?.()] })
      await watched.close()
      expect(await checkDatabase(standby, 'The database')).toContainEqual(
        expect.objectContaining({ verdict: 'wrong', text: expect.stringContaining('It accepts no writes.') as string }),
      )
    } finally {
      await standby.close()
    }
  })

  it('reports a statement that exceeded statement_timeout as unavailable, with the remedy', async () => {
    const limited = openPostgres(database.url)
    try {
      // not by the URL: a slow server would end the first statement of the connection, too
      await limited.query(`select set_config('statement_timeout', '20', false)`)
      const error = await failureOf(limited.query('select pg_sleep(600)'))
      expect(shownError('r', error)).toMatchObject({
        code: 'POSTGRES_UNAVAILABLE',
        message: 'The database, which this request needs, cancelled a statement; try again soon.',
      })
      expect(asLockstepError(error)).toMatchObject({
        code: 'POSTGRES_UNAVAILABLE',
        message: expect.stringMatching(/^The database cancelled a statement: .*timeout\. .*raise the role's statement_timeout/) as string,
      })
    } finally {
      await limited.close()
    }
  })

  it('reports what a lock_timeout and a missing right refuse, with the remedy', async () => {
    const url = new URL(database.url)
    url.searchParams.set('options', '-c lock_timeout=20')
    const impatient = openPostgres(url.href)
    const release = await db.lock(7, 7)
    try {
      const error = await failureOf(impatient.query('select pg_advisory_lock(7, 7)'))
      expect(shownError('r', error)).toMatchObject({
        code: 'POSTGRES_UNAVAILABLE',
        message: 'The database, which this request needs, gave up waiting for a lock; try again soon.',
      })
      expect(asLockstepError(error)).toMatchObject({
        code: 'POSTGRES_UNAVAILABLE',
        message: expect.stringMatching(/^The database gave up waiting for a lock: .*lock timeout\. Try again\. .* SET lock_timeout = 0\.$/),
      })
    } finally {
      await release()
      await impatient.close()
    }
    const denied = await failureOf(db.script(`set role pg_monitor; create schema denied`))
    expect(asLockstepError(denied)).toMatchObject({
      code: 'INTERNAL',
      message: expect.stringMatching(
        /^permission denied for database .*\. Run "lockstep doctor", which prints the grants that the role lacks\.$/,
      ),
    })
  })

  it('reports a full disk as unavailable, with the remedy, and a lack of memory as it is', async () => {
    const raised = (state: string) => failureOf(db.script(`DO $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '${state}'; END $$`))
    const full = await raised('53100')
    expect(asLockstepError(full)).toMatchObject({
      code: 'POSTGRES_UNAVAILABLE',
      message: 'The database has no free disk space: no room. Free some on its disk.',
    })
    expect(shownError('r', full)).toMatchObject({
      code: 'POSTGRES_UNAVAILABLE',
      message: 'The database, which this request needs, has no free disk space; try again soon.',
    })
    expect(db.obstacle?.()).toMatch(/^PostgreSQL at ".+:\d+" has no free disk space: no room\. Free some on its disk\.$/)
    const memory = await raised('53200')
    expect(asLockstepError(memory)).toMatchObject({ code: 'INTERNAL', message: 'no room' })
    expect([full, memory].map(isTemporary)).toEqual([true, true])
    expect([full, memory].map(isOutage)).toEqual([true, false])
  })

  it('says that its process has too many open files', () => {
    const cause = Object.assign(new Error('connect EMFILE 127.0.0.1:5432'), { code: 'EMFILE' })
    expect(postgresUnavailable('db:5432', cause).message).toBe(
      'PostgreSQL at "db:5432" cannot be used: connect EMFILE 127.0.0.1:5432. This process has as many open files as it may: raise "ulimit -n".',
    )
  })

  it('waits for one of its connections if the server gives it no more', async () => {
    const role = `few_${randomBytes(4).toString('hex')}`
    await db.script(`create role ${role} login password 'few' connection limit 2`)
    const url = new URL(database.url)
    ;[url.username, url.password] = [role, 'few']
    const other = openPostgres(url.href)
    try {
      // each waits for 3 s at most
      await unlessSlow(1_500, async () => {
        await Promise.all(Array.from({ length: 20 }, () => other.query('select pg_sleep(0.02)')))
      })
    } finally {
      await other.close()
    }
    const [holder, asking] = [openPostgres(url.href), openPostgres(url.href)]
    try {
      const held = [await holder.lock(1, 1), await holder.lock(1, 2)]
      const error = await failureOf(asking.snapshot(() => Promise.resolve()))
      expect(error).toMatchObject({ code: 'POSTGRES_UNAVAILABLE', message: expect.stringContaining('Allow more connections') as string })
      const said =
        'The database, which this request needs, has no free connection; try again soon. Allow more connections there, or run fewer processes.'
      expect(shownError('r', error).message).toBe(said)
      const stores = createStores({
        database: () => Promise.resolve(asking),
        store: () => Promise.reject(new Error('not needed')),
        redisUrl: null,
        log: createLogger('silent'),
      })
      const shown = async () => {
        await stores.database.check()
        return shownError('r', await failureOf(Promise.resolve().then(stores.needDatabase))).message
      }
      // a check that takes more than 3.5 s, on a slow machine, only knows that there was no answer, and cuts the
      // connections of its own process
      await expect.poll(shown).toBe(said)
      await Promise.all(held.map((release) => release()))
    } finally {
      await Promise.all([holder.close(), asking.close()])
      await db.script(`drop role ${role}`)
    }
  })

  it('is not down for a process that was stalled, whether it asked or connected', async () => {
    const other = openPostgres(database.url)
    const [, asked, connected] = [await other.ping(), failureOf(other.ping()), failureOf(other.query('select pg_sleep(0.1)'))]
    stall(3_600)
    expect([await asked, await connected]).toEqual([null, null])
    await other.close()
  })

  it('closes twice', async () => {
    const other = openPostgres(database.url)
    await other.kysely.executeQuery(sql`select 1`.compile(other.kysely))
    await Promise.all([other.close(), other.close()])
    await other.close()
  })
})

/** Nothing of this process runs meanwhile, as on a machine that is overloaded. */
function stall(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

describe('a PostgreSQL that is down', () => {
  const silent: Server = createServer((socket) => socket.resume())
  let silentPort = 0

  beforeAll(async () => {
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const address = silent.address()
    silentPort = address !== null && typeof address === 'object' ? address.port : 0
  })
  afterAll(() => new Promise((resolve) => silent.close(resolve)))

  async function failure(url: string): Promise<{ error: unknown; ms: number }> {
    const db = openPostgres(url)
    const from = performance.now()
    const others = [failureOf(db.kysely.selectFrom('lockstep.code').selectAll().execute()), failureOf(db.snapshot(() => Promise.resolve()))]
    const error = await failureOf(db.ping())
    const ms = performance.now() - from
    for (const other of others) expect(await other).toMatchObject({ code: 'POSTGRES_UNAVAILABLE' })
    await db.close()
    return { error, ms }
  }

  it('is POSTGRES_UNAVAILABLE at once, and names the server without the password', async () => {
    const { error, ms } = await failure('postgres://somebody:hush@127.0.0.1:1/nothing')
    expect(error).toMatchObject({ code: 'POSTGRES_UNAVAILABLE', message: expect.stringContaining('"127.0.0.1:1"') as string })
    expect(String(error)).not.toContain('hush')
    expect(ms).toBeLessThan(30_000)
  })

  it('is POSTGRES_UNAVAILABLE within 5 s if the server never answers', async () => {
    const { error, ms } = await failure(`postgres://somebody:hush@127.0.0.1:${silentPort}/nothing`)
    expect(error).toMatchObject({ code: 'POSTGRES_UNAVAILABLE', message: expect.stringContaining('does not answer in time') as string })
    expect(ms).toBeLessThan(30_000)
  })

  it('is CONFIG_INVALID if the URL is invalid', () => {
    expect(() => openPostgres('hush')).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.not.stringContaining('hush') as string }),
    )
  })
})
