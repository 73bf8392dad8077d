import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CheckFinding } from '../../cli/doctor/check.ts'
import { findingsOf, ok } from '../../cli/doctor/check.ts'
import { checkConnections, checkRights } from '../../cli/doctor/database-checks.ts'
import { checkPorts } from '../../cli/doctor/machine-checks.ts'
import { checkSources, checkViews } from '../../cli/doctor/registry-checks.ts'
import { skewAnswer } from '../../cli/doctor/clock-skew.ts'
import { writeServerClock } from '../../monitoring/rollups/clock-offset.ts'
import { problemsOf } from '../../monitoring/problems/find-problems.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { defaultUi } from '../../runtime/settings/ui-settings.ts'
import { definitionFiles } from '../registry/definition-files.ts'
import { createWorld } from '../serving/world.ts'
import { testDatabase, testRedis } from '../services/index.ts'
import { freePort } from '../services/keeper.ts'
import { asking, keepFromSaving, ownRedis } from '../services/own-redis.ts'
import { lockstep, must } from './lockstep.ts'
import type { Environment } from './run-lockstep.ts'

const features = `import { count, entity, featureService, featureView, model, source, t } from 'lockstep'
const airport = entity('airport', { key: { airport: t.string } })
const landings = source('landings', { key: { airport: 'airport' }, eventTime: 'landed_at', columns: { delay: t.float64 } })
export const delays = featureView('delays', { version: 1, entity: airport, source: landings, online: true, freshness: '1s', features: { landed: count('1h') } })
export const flights = featureService('flights', { version: 1, features: [delays] })
export const delay = model('delay', { service: flights, output: { probabilities: t.float32 } })
`

const payments = `import { count, entity, featureView, source, sum, t } from 'lockstep'
const card = entity('card', { key: { card: t.string } })
const key = { card: 'card' }
const rows = source('payments', { key, eventTime: 'paid_at', table: 'payments', columns: { amount: t.float64 } })
const large = source('large', { key, eventTime: 'paid_at', sql: 'select * from payments where amount > 100', columns: {} })
const visits = source('visits', { key, eventTime: 'at', columns: { ms: t.float64 } })
export const spent = featureView('spent', { version: 1, entity: card, source: rows, features: { total: sum('amount', '1d') } })
export const larger = featureView('larger', { version: 1, entity: card, source: large, features: { paid: count('1d') } })
export const visited = featureView('visited', { version: 1, entity: card, source: visits, features: { visits: count('1d') } })
`

interface Report {
  readonly code: number | null
  readonly ok: boolean
  /** The texts of a check, each after its verdict. */
  of(check: string): string
  readonly verdicts: ReadonlySet<string>
  readonly out: string
}

async function doctor(env: Environment): Promise<Report> {
  const { code, out } = await lockstep(env, 'doctor', '--json')
  const report: { ok: boolean; findings: readonly CheckFinding[] } = JSON.parse(out)
  return {
    code,
    ok: report.ok,
    of: (check) =>
      report.findings
        .filter((each) => each.check === check)
        .map(({ verdict, text }) => `${verdict} ${text}`)
        .join('\n'),
    verdicts: new Set(report.findings.map(({ verdict }) => verdict)),
    out,
  }
}

let env: Environment
let folder: string
let database: Awaited<ReturnType<typeof testDatabase>>

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lockstep-doctor-'))
  database = await testDatabase({ migrate: false })
  const redis = await testRedis()
  env = { LOCKSTEP_POSTGRES_URL: database.url, LOCKSTEP_REDIS_URL: redis.url, LOCKSTEP_REDIS_PREFIX: redis.prefix, LOCKSTEP_PORT: '0' }
})

afterAll(async () => {
  await database?.drop()
  rmSync(folder, { recursive: true, force: true })
})

describe('lockstep doctor', () => {
  it('says what to do, step by step, until nothing is left to do', async () => {
    const unmigrated = await doctor(env)
    expect([unmigrated.code, unmigrated.ok]).toEqual([1, false])
    expect(unmigrated.of('migrations')).toMatch(/^wrong \d+ are missing, .*Run "lockstep migrate"/)
    expect(unmigrated.of('registry')).toMatch(/^skipped/)

    await must(env, 'migrate')
    expect((await doctor(env)).of('registry')).toMatch(/^note It is empty/)
    await must(env, 'apply', join(definitionFiles({ 'features.ts': features }), 'features.ts'))
    const unmaterialized = await doctor(env)
    expect(unmaterialized.of('views')).toMatch(/^wrong The view "delays@1" is not materialized .* run "lockstep materialize delays@1"/)
    expect(unmaterialized.of('models')).toMatch(/^note Without a version: delay/)
    expect(unmaterialized.of('worker')).toMatch(/^note No worker/)

    await must(env, 'materialize')
    const well = await doctor(env)
    expect([well.code, well.ok, well.verdicts.has('wrong'), well.verdicts.has('skipped')]).toEqual([0, true, false, false])
    expect(well.of('sources')).toBe('ok 1 source: tables and queries have the declared columns.')
    expect(well.of('views')).toBe('ok 1 online view: all materialized, none late.')
    expect(well.of('settings')).toContain('LOCKSTEP_POSTGRES_URL (environment)')
    for (const check of ['versions', 'database', 'rights', 'connections', 'clock', 'migrations', 'disk', 'port', 'onnx'])
      expect(well.of(check)).toMatch(/^ok/)

    const db = openPostgres(database.url)
    try {
      await writeServerClock(db, 'host:4711', { offset: -7_200_000_000, error: 1000 })
      const { code, of } = await doctor(env)
      expect(code).toBe(1)
      expect(of('clock')).toMatch(/\nwrong The clock of the server "host:4711" is 7200\.0 s behind that of the database\. Check its time/)
      await db.script('delete from lockstep.server_clocks')
    } finally {
      await db.close()
    }
  })

  it('compares sources with their tables and queries', async () => {
    const own = await testDatabase()
    const db = openPostgres(own.url)
    const answers = async (change: string): Promise<string[]> => {
      await db.script(change)
      return (await checkSources(db)).map(({ verdict, text }) => `${verdict} ${text}`)
    }
    const changed = async (change: string, undo: string): Promise<string[]> => {
      const found = await answers(change)
      await db.script(undo)
      return found
    }
    try {
      expect(await answers('create table payments (card text, paid_at timestamptz, amount float8)')).toEqual(['ok No source is declared.'])
      await must({ ...env, LOCKSTEP_POSTGRES_URL: own.url }, 'apply', join(definitionFiles({ 'features.ts': payments }), 'features.ts'))
      const well = ['ok 3 sources: tables and queries have the declared columns.']
      expect(await answers('select 1')).toEqual(well)
      expect(
        await changed('alter table payments rename column amount to amounts', 'alter table payments rename column amounts to amount'),
      ).toEqual([
        expect.stringMatching(/^wrong The source "payments" has the column "amount" .* Did you mean "amounts"/),
        expect.stringMatching(/^wrong The query of the source "large" cannot be read: .*"amount"/),
      ])
      expect(
        await changed('alter table payments alter card type bigint using 1', 'alter table payments alter card type text'),
      ).toContainEqual(
        expect.stringMatching(/^wrong The source "payments" reads the column "card" as .* but the database has it as bigint/),
      )
      expect(
        await changed('alter table lockstep_source.visits drop column ms', 'alter table lockstep_source.visits add ms float8'),
      ).toEqual(['wrong The table lockstep_source."visits" of the source "visits" lacks the columns "ms". Run "lockstep apply FILE".'])
      expect(await answers('drop table lockstep_source.visits')).toEqual([
        'wrong The table lockstep_source."visits" of the source "visits" does not exist. Run "lockstep apply FILE".',
      ])
    } finally {
      await db.close()
      await own.drop()
    }
  })

  it('has one line for one cause, with what follows from it', async () => {
    const db = openPostgres(database.url)
    try {
      await db.script(`insert into lockstep_source.landings (airport, landed_at, delay) values ('ATL', now() - interval '1 h', 1);
        insert into lockstep.alerts (monitor, check_kind, subject, severity, state, started, notified, about, started_with, result)
        select monitor, kind, subject, 'ticket', 'firing', 1, false, '{}', '{"cause": "why"}', '{}'
        from (values ('view:delays@1', 'freshness', 'delays@1'), ('model:delay', 'traffic', 'delay')) v(monitor, kind, subject);
        insert into lockstep.alert_deliveries (alert, channel, key, message, error, attempts, created_at)
        select id, channel, channel || id, '{"event": "firing"}', error, 3, clock_timestamp() - age::interval from lockstep.alerts,
          (values ('hook', 'status 503', '3 h'), ('recent', 'status 503', '1 s'), ('untried', null, '3 h')) v(channel, error, age)`)
    } finally {
      await db.close()
    }
    let late = await doctor(env)
    // a second after the last run, the row has waited for too long
    await expect.poll(async () => (late = await doctor(env)).of('views'), { timeout: 60_000 }).toMatch(/^skipped/)
    expect(late.code).toBe(1)
    const view = 'Likely follows from it: The view "delays@1" is late: .*'
    const alert = 'Likely follows from it: view:delays@1: freshness of delays@1\\.'
    expect(late.of('worker')).toMatch(new RegExp(`^wrong No worker is connected .*${view}${alert}$`))
    expect(late.of('views')).toBe('skipped 1 view is late, which follows from another line.')
    expect(late.of('alerts')).toBe('note model:delay: traffic of delay. Likely cause: why')
    expect(late.of('channels')).toBe(
      'wrong The channel "hook" fails: 2 notifications wait. The oldest was made 3 hours ago. The last error: status 503. To test it: lockstep alert test hook',
    )
  })

  it('does not say that views are well while the store answers pings alone', () => {
    const sources = {
      alerts: [],
      failed: [],
      trainings: [],
      views: [],
      lacks: [],
      storeFailure: 'Redis answers no read.',
      lacksWorker: false,
    }
    const catalog = { online: new Set(['delays@1']) } as unknown as Catalog
    const answers = checkViews(catalog, { sources, problems: problemsOf(catalog, sources, 0) })
    expect(answers.map(({ verdict, text }) => `${verdict} ${text}`)).toEqual(['wrong Redis answers no read.'])
  })

  it('names a worker that is missing beside an embedded store on PostgreSQL', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'lockstep-doctor-'))
    const own = { ...env, LOCKSTEP_REDIS_URL: '', LOCKSTEP_DIR: directory }
    await must(own, 'materialize')
    expect((await doctor(own)).of('worker')).toMatch(/^note No worker/)
    rmSync(directory, { recursive: true })
  })

  it('names the rights that a user lacks, and prints no password', async () => {
    const admin = openPostgres(database.url)
    const user = `doctor_${process.pid}`
    await admin.script(`create role ${user} login password 'hidden-word'`)
    try {
      const url = new URL(database.url)
      url.username = user
      url.password = 'hidden-word'
      const report = await doctor({ ...env, LOCKSTEP_POSTGRES_URL: url.href })
      expect(report.code).toBe(1)
      expect(report.of('rights')).toMatch(new RegExp(`"${user}" is not a member of .* It lacks rights on the tables, .* TO "${user}"`))
      expect(report.out).not.toContain('hidden-word')
    } finally {
      await admin.script(`drop role ${user}`)
      await admin.close()
    }
  })

  it('counts connections of users whose sessions PostgreSQL hides', async () => {
    const admin = openPostgres(database.url)
    const user = `doctor_counter_${process.pid}`
    await admin.script(`create role ${user} login password 'hidden-word'`)
    const db = openPostgres(Object.assign(new URL(database.url), { username: user, password: 'hidden-word' }).href)
    // each of these sessions stays open
    const unlocks = [await admin.lock(1, process.pid), await admin.lock(2, process.pid)]
    try {
      const settings = `select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as most`
      const [{ most } = { most: 0 }] = await db.query<{ most: number }>(settings)
      const { text } = await checkConnections(db)
      expect(Number(/^\d+/.exec(text)?.[0])).toBeLessThanOrEqual(most - 3)
    } finally {
      for (const unlock of unlocks) await unlock()
      await db.close()
      await admin.script(`drop role ${user}`)
      await admin.close()
    }
  })

  it('a user must be a member of the role that owns the tables by day', async () => {
    const own = await testDatabase({ migrate: false })
    const admin = openPostgres(own.url)
    const [owner, user] = [`doctor_owner_${process.pid}`, `doctor_member_${process.pid}`]
    const rightsOf = async (name: string) => {
      const db = openPostgres(Object.assign(new URL(own.url), { username: name, password: 'hidden-word' }).href)
      const answers = await checkRights(db).finally(() => db.close())
      return answers.map(({ verdict, text }) => `${verdict} ${text}`).join('\n')
    }
    await admin.script(`create role ${owner} login password 'hidden-word'; create role ${user} login password 'hidden-word'`)
    try {
      expect(await rightsOf(owner)).toMatch(/^wrong .* lacks some: GRANT CREATE ON DATABASE/)
      const [{ database: name } = { database: '' }] = await admin.query<{ database: string }>('select current_database() as database')
      await admin.script(`grant create on database "${name}" to ${owner}`)
      await must({ LOCKSTEP_POSTGRES_URL: Object.assign(new URL(own.url), { username: owner, password: 'hidden-word' }).href }, 'migrate')
      // no schema is created after the migration
      await admin.script(`revoke create on database "${name}" from ${owner}`)
      expect(await rightsOf(owner)).toMatch(/^ok/)
      expect(await rightsOf(user)).toMatch(new RegExp(`^wrong .* lacks rights on the tables.* run: GRANT "${owner}" TO "${user}"\\.$`))
      await admin.script(`grant usage on schema lockstep, lockstep_source to ${user};
        grant select, insert, update, delete on all tables in schema lockstep, lockstep_source to ${user}`)
      expect(await rightsOf(user)).toMatch(
        new RegExp(`wrong "${user}" is not a member of "${owner}", which owns .*lockstep\\.rollups.* GRANT "${owner}" TO "${user}"`),
      )
      await admin.script(`grant ${owner} to ${user}`)
      await admin.script(`set role ${user}; create table lockstep.rollups_20200101 partition of lockstep.rollups
        for values from ('2020-01-01Z') to ('2020-01-02Z'); reset role`)
      expect([await rightsOf(user), await rightsOf(owner)]).toEqual([expect.stringMatching(/^ok/), expect.stringMatching(/^ok/)])
    } finally {
      await admin.script(`drop owned by ${owner}, ${user} cascade; drop role ${owner}, ${user}`)
      await admin.close()
      await own.drop()
    }
  })

  it('a user gets the tables of a superuser, not its role', async () => {
    const own = await testDatabase()
    const admin = openPostgres(own.url)
    const user = `doctor_own"er_${process.pid}`
    const quoted = user.replace('"', '""')
    await admin.script(`create role "${quoted}" login password 'hidden-word'`)
    const rights = async () => {
      const db = openPostgres(Object.assign(new URL(own.url), { username: user, password: 'hidden-word' }).href)
      const answers = await checkRights(db).finally(() => db.close())
      return answers.map(({ verdict, text }) => `${verdict} ${text}`).join('\n')
    }
    try {
      const before = await rights()
      expect(before).not.toContain('GRANT "')
      const remedy = /is a superuser, so do not grant it\. Run in psql as "\w+": (ALTER SCHEMA .*;) (SELECT .*) \\gexec$/.exec(before)
      await admin.script(remedy?.[1] ?? '')
      const statements = await admin.query<{ format: string }>(remedy?.[2] ?? '')
      await admin.script(statements.map(({ format }) => format).join(';'))
      expect(await rights()).toMatch(/^ok/)
    } finally {
      await admin.script(`drop owned by "${quoted}" cascade; drop role "${quoted}"`)
      await admin.close()
      await own.drop()
    }
  })

  it('a Redis that may evict states must be set otherwise', async () => {
    const evicting = await ownRedis('redis-server', { args: ['--maxmemory-policy', 'allkeys-lru'] })
    try {
      const report = await doctor({ ...env, LOCKSTEP_REDIS_URL: evicting.url })
      expect(report.of('online store')).toMatch(/wrong .* has maxmemory-policy allkeys-lru\. Set noeviction/)
    } finally {
      await evicting.stop()
    }
  })

  it('a Redis that cannot save to its disk must get room there', async () => {
    const unsaved = await ownRedis('redis-server')
    try {
      const letSave = await keepFromSaving(unsaved)
      const report = await doctor({ ...env, LOCKSTEP_REDIS_URL: unsaved.url })
      expect(report.of('online store')).toMatch(/^wrong .* cannot save to its disk, and refuses writes until it can\. Free some space/m)
      await letSave()
      expect((await doctor({ ...env, LOCKSTEP_REDIS_URL: unsaved.url })).of('online store')).not.toContain('cannot save')
    } finally {
      await unsaved.stop()
    }
  })

  it('a Redis that is a replica must be replaced by its primary', async () => {
    const replica = await ownRedis('redis-server')
    try {
      await asking(replica.port, (admin) => admin.replicaof('127.0.0.1', 1))
      const report = await doctor({ ...env, LOCKSTEP_REDIS_URL: replica.url })
      expect(report.of('online store')).toMatch(/^wrong .* is a replica, .* Set LOCKSTEP_REDIS_URL to the primary\.$/m)
      expect(report.code).toBe(1)
    } finally {
      await replica.stop()
    }
  })

  it('stores that do not answer are reported, and what hangs on them is skipped', async () => {
    const down = await doctor({
      ...env,
      LOCKSTEP_POSTGRES_URL: 'postgres://a:hidden-word@127.0.0.1:1/b',
      LOCKSTEP_REDIS_URL: 'redis://:hidden-word@127.0.0.1:1',
    })
    expect(down.of('database')).toMatch(/^wrong .*127\.0\.0\.1:1/)
    expect(down.of('online store')).toBe(
      'wrong Redis at "127.0.0.1:1" cannot be used: connect ECONNREFUSED 127.0.0.1:1. Check LOCKSTEP_REDIS_URL and that the server runs.',
    )
    expect(down.of('registry')).toMatch(/^skipped/)
    expect(down.out).not.toContain('hidden-word')
  })

  it('a single Redis that is named as a cluster is reported once', async () => {
    const report = await doctor({ ...env, LOCKSTEP_REDIS_URL: (env['LOCKSTEP_REDIS_URL'] ?? '').replace('redis:', 'redis+cluster:') })
    expect(report.of('online store')).toMatch(/^wrong .* is a single server, .* Set LOCKSTEP_REDIS_URL to redis:/)
    expect(report.of('views')).toBe('skipped The online store must be right first.')
  })

  it('with only a server set, it checks the server and no database', async () => {
    const world = await createWorld('redis')
    try {
      for (const view of ['airport_delays', 'airport_typed', 'airport_required']) await world.materialize(view)
      const { url } = await world.serve()
      await expect.poll(async () => (await fetch(`${url}/readyz`)).status, { timeout: 60_000 }).toBe(200)
      const report = await doctor({ LOCKSTEP_DIR: join(folder, 'none'), LOCKSTEP_SERVER: url, LOCKSTEP_PORT: '0' })
      expect(report.of('server')).toMatch(new RegExp(`^ok The server "${url}" is ready`))
      expect(report.of('key')).toMatch(/^ok It takes requests without a key .*\d+ models/)
      expect([report.of('database'), report.of('registry'), report.code]).toEqual(['', '', 0])
      const other = await doctor({ LOCKSTEP_DIR: join(folder, 'none'), LOCKSTEP_SERVER: `${url}/v1`, LOCKSTEP_PORT: '0' })
      expect(other.of('server')).toMatch(/^wrong .*answers, but not as a Lockstep server/)
    } finally {
      await world.close()
    }
  })

  it('a wrong setting is the finding, and an embedded database is not made', async () => {
    expect((await doctor({ LOCKSTEP_PROT: '1' })).of('settings')).toMatch(/^wrong .*did you mean "LOCKSTEP_PORT"/)
    const report = await doctor({ LOCKSTEP_DIR: join(folder, 'none'), LOCKSTEP_SERVER: 'http://127.0.0.1:1' })
    expect([report.of('server'), report.of('key'), report.of('database')]).toEqual([
      expect.stringMatching(/^wrong The server "http:\/\/127\.0\.0\.1:1" cannot be reached/),
      '',
      '',
    ])
    const unmade = await doctor({ LOCKSTEP_DIR: join(folder, 'none') })
    expect(unmade.of('database')).toMatch(/^wrong There is no embedded database in .*lockstep migrate/)
    expect(() => writeFileSync(join(folder, 'none/file'), '')).toThrow('ENOENT')
  })
})

describe('a check', () => {
  it('that fails is a finding', async () => {
    expect(await findingsOf('x', () => Promise.reject(new Error('down')))).toEqual([{ check: 'x', verdict: 'wrong', text: 'down' }])
    expect(await findingsOf('x', () => ok('fine'))).toEqual([{ check: 'x', verdict: 'ok', text: 'fine' }])
  })

  it.each([
    ['0.0.0.0', '127.0.0.1', 1],
    ['127.0.0.1', '::', 1],
    ['localhost', 'localhost', 1],
    ['127.0.0.1', '127.0.0.2', 0],
    ['0.0.0.0', '::1', 0],
  ])('of one port on %s and on %s finds %d mistakes', async (host, metricsHost, mistakes) => {
    const port = await freePort()
    const answers = await checkPorts({ host, port, grpcPort: null, metricsHost, metricsPort: port, ui: defaultUi })
    const wrong = answers.filter(({ verdict }) => verdict === 'wrong').map(({ text }) => text)
    expect(wrong).toHaveLength(mistakes)
    const both = `LOCKSTEP_METRICS_PORT is ${port} on ${metricsHost}, and LOCKSTEP_PORT is ${port} on ${host}.`
    for (const text of wrong) expect(text).toContain(both)
  })

  it.each([
    [100, 0, 'ok'],
    [-900, 0, 'note'],
    [-900, 500, 'ok'],
    [6_000, 500, 'wrong'],
  ])('of a clock %d ms off, give or take %d ms, is %s', (skewMs, errorMs, verdict) => {
    expect(skewAnswer('Redis', skewMs, errorMs).verdict).toBe(verdict)
  })
})
