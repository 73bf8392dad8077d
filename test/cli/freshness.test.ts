import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Outcome } from '../../cli/command.ts'
import { createContext } from '../../cli/context.ts'
import { prepare } from '../../cli/run.ts'
import { createTerminal } from '../../cli/terminal.ts'
import { withContext } from '../../cli/with-context.ts'
import { loadConfig } from '../../runtime/config.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { workerUrl } from '../../runtime/postgres/worker-sessions.ts'
import { statusAnswer } from '../../serving/protocols/http/health/status-route.ts'
import { definitionFiles } from '../registry/definition-files.ts'
import { testDatabase } from '../services/index.ts'

const definitions = (more: string): string => `
  import { count, entity, featureService, featureView, lastN, source, t } from 'lockstep'
  const thing = entity('thing', { key: { thing: t.string } })
  const rows = source('rows', { key: { thing: 'thing' }, eventTime: 'at', columns: { x: t.int32 } })
  export const seen = featureView('seen', { version: 1, entity: thing, source: rows, ${more} features: { n: count('1h'), xs: lastN('x', 100, 'lifetime') } })
  export const service = featureService('s', { version: 1, features: [seen] })`
const files = definitionFiles({
  'plain.ts': definitions(''),
  'fresh.ts': definitions(`freshness: '1s', maxStateBytes: '500b',`),
  'large.ts': definitions(`maxStateBytes: '64kb',`),
  'two.ts': `${definitions('')}
  const other = source('other', { table: 'other', key: { thing: 'thing' }, eventTime: 'at', columns: { x: t.int32 } })
  export const before = featureView('before', { version: 1, entity: thing, source: other, features: { m: count('1h') } })`,
  'wrong.ts': definitions(`maxStateBytes: '64 potatoes',`),
})
let folder: string
let url: string
let db: Database
/** A session of a worker that does nothing. */
let worker: Client
let drop: () => Promise<void>

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-freshness-'))
  const database = await testDatabase()
  ;[url, drop] = [database.url, database.drop]
  db = openPostgres(url)
  worker = new Client(workerUrl(url))
  await worker.connect()
})

afterAll(async () => {
  await db?.close()
  await worker?.end()
  await drop?.()
  await rm(folder, { recursive: true, force: true })
})

function contextOf() {
  const config = loadConfig({ LOCKSTEP_POSTGRES_URL: url, LOCKSTEP_DIR: folder, LOCKSTEP_LOG_LEVEL: 'silent' })
  return createContext(config, createTerminal(true), new AbortController().signal)
}

async function run(...words: readonly string[]): Promise<Outcome> {
  const context = contextOf()
  return await withContext(context, async () => (await prepare(words))(context))
}

/** While a server answers at the address that `work` gets. */
async function whileServing<T>(work: (at: string) => Promise<T>): Promise<T> {
  const context = contextOf()
  return await withContext(context, async () => {
    const { json } = await (await prepare(['serve', '--port', '0']))(context)
    const { url: at } = json as { url: string }
    await expect.poll(async () => (await fetch(`${at}/readyz`)).status, { timeout: 60_000 }).toBe(200)
    return await work(at)
  })
}

async function textOf(address: string): Promise<string> {
  return await (await fetch(address)).text()
}

const apply = (file: string): Promise<Outcome> => run('apply', join(files, file))
const insert = async (rows: string): Promise<void> => db.script(`insert into lockstep_source.rows (thing, at, x) ${rows}`)

it('status and metrics name a late view with its rows and transaction', async () => {
  await expect(run('plan', join(files, 'wrong.ts'))).rejects.toThrow(
    'The maxStateBytes of view "seen" is "64 potatoes", which is not a size',
  )
  await apply('plain.ts')
  expect((await run('status')).exitCode).toBe(0)
  const plan = await run('plan', join(files, 'fresh.ts'), '--verbose')
  expect(plan.text).toContain('freshness is new (1s)')
  expect(plan.text).toMatch(/> state of seen@1: at most [\d.]+ kB for each entity.*; its cap of 500 B keeps larger states out/)
  await apply('fresh.ts')
  // the cause is said once: a view that is not held is late as well
  expect((await run('status')).text.match(/^.*"seen@1" is .*$/gm)).toEqual([
    expect.stringMatching(/^not ready: The view "seen@1" is not materialized/),
  ])

  await insert(`select 'small', now() - interval '3 h', 1`)
  await run('materialize')
  expect((await run('status')).exitCode).toBe(0)
  await insert(`select 'small', now() - interval '3 h', 1`)
  let late = await run('status')
  // once the row has waited for more than a second
  await expect.poll(async () => (late = await run('status')).exitCode).toBe(1)
  expect(late.text).toContain('late: The view "seen@1" is late: it may be 1 s behind its source, and 1 row has waited')
  // what follows from it stands under it: an alert, and what features of the view lack
  const seen = { link: { kind: 'view', id: 'seen@1' }, severity: 'warn', consequences: [] }
  expect(late.json).toHaveProperty('problems', [expect.objectContaining(seen)])
  await db.script(`insert into lockstep.alerts (monitor, check_kind, subject, severity, state, started, notified, about, started_with, result)
    values ('view:seen@1', 'freshness', 'seen@1', 'page', 'firing', 1767225600000000, false, '{}', '{}', '{}')`)
  const alerting = await run('status')
  const alert = { kind: 'alert', id: expect.any(String) as string }
  expect(alerting.json).toHaveProperty('problems', [
    expect.objectContaining({ ...seen, severity: 'page', consequences: [expect.objectContaining({ link: alert, about: seen.link })] }),
  ])
  expect(alerting.text).toMatch(/^late: The view "seen@1" .*\n {2}Likely follows from it: view:seen@1: freshness of seen@1\.$/m)
  await db.script('delete from lockstep.alerts')
  const { views } = late.json as { views: object[] }
  expect(views).toMatchObject([{ freshness: { lag: { rows: 1, transactions: 1 }, freshnessSeconds: 1 } }])

  const metrics = await whileServing(async (at) => {
    const ready = async (): Promise<string> => await textOf(`${at}/readyz`)
    await expect
      .poll(ready, { timeout: 60_000 })
      .toMatch(/"ready":true,"degraded":\["workers"\],"warnings":\["The view \\"seen@1\\" is late/)
    const body = JSON.stringify({ service: 's', entities: [{ thing: 'small' }, { thing: 'unknown' }] })
    const headers = { 'content-type': 'application/json' }
    expect((await fetch(`${at}/v1/features`, { method: 'POST', headers, body })).status).toBe(200)
    return await db.kysely.transaction().execute(async (transaction) => {
      await transaction.insertInto('lockstep.code').values({ hash: 'h', body: 'b' }).execute()
      let text = ''
      const waiting = /^lockstep_oldest_transaction_seconds\{pid="\d+",application="[^"]*",database="[^"]+"\} [\d.]+$/m
      await expect.poll(async () => (text = await textOf(`${at}/metrics`)), { timeout: 60_000 }).toMatch(waiting)
      return text
    })
  })
  const served = await run('status')
  // as the documentation of GET /v1/status has it
  expect(statusAnswer.omit({ requestId: true }).parse(served.json)).toEqual(served.json)
  expect(served.json).toHaveProperty('views.0.served', expect.objectContaining({ answers: 1 }))
  // the row of three hours ago, within 5 %
  const [age] = (served.json as { views: { served: { leastSeconds: number; p95Seconds: number } }[] }).views
  expect(Math.abs((age?.served.leastSeconds ?? 0) / 10_800 - 1)).toBeLessThan(0.06)
  expect(served.text).toMatch(/^SERVED SINCE \d{4}-\d\d-\d\d \d\d:\d\d:00 UTC .*\nseen@1 .* 1 s +1$/m)

  expect(metrics).toMatch(/^lockstep_view_late\{view="seen@1"\} 1$/m)
  expect(metrics).toMatch(/^lockstep_view_lag_rows\{view="seen@1"\} 1$/m)
  expect(metrics).toMatch(/^lockstep_view_newest_row_age_seconds\{view="seen@1"\} 1[01]\d\d\d/m)
})

it('answers an entity over the cap from history, names it, and readmits it', async () => {
  await apply('fresh.ts')
  await insert(`select 'large', now() - interval '3 h' + n * interval '1 s', n from generate_series(1, 99) n`)
  await insert(`select 'tiny', now() - interval '3 h', 1`)
  const over = await run('materialize')
  expect(over.text).toContain('note STATE_TOO_LARGE: The entity "thing" = "large" of the view "seen@1" is not in the online store')
  expect(over.json).toMatchObject({ views: [{ tooLarge: { entities: 1, errors: [{ code: 'STATE_TOO_LARGE' }] } }] })
  const ask = (): Promise<unknown> =>
    whileServing(async (at) => {
      const body = JSON.stringify({ service: 's', entities: [{ thing: 'large' }, { thing: 'tiny' }] })
      const answer = await fetch(`${at}/v1/features`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
      const { results } = (await answer.json()) as { results: { features: { xs: number[] } }[] }
      const counted = /history_answers_total\{service="s@1"\} (\d)/.exec(await textOf(`${at}/metrics`))
      return [results.map(({ features }) => features.xs.length), counted?.[1]]
    })
  expect(await ask()).toEqual([[99, 1], '1'])
  await insert(`select 'large', now() - interval '2 h', 100`)
  expect((await run('materialize')).json).toMatchObject({ views: [{ rows: 0, entities: 0, tooLarge: { entities: 0 } }] })
  expect(await ask()).toEqual([[100, 1], '1'])
  await apply('large.ts')
  await insert(`select 'large', now() - interval '2 h', 101`)
  expect((await run('materialize')).json).toMatchObject({ views: [{ rows: 101, entities: 1 }] })
  expect(await ask()).toEqual([[100, 1], undefined])
})

it('continues with other views and entities when one fails, and exits with 1', async () => {
  await db.script('create table other (thing text, at timestamptz, x int4)')
  await apply('two.ts')
  await db.script('drop table other; alter table lockstep_source.rows alter at drop not null')
  await insert(`values ('timeless', null, 1), ('oldest', '-infinity', 1), ('prompt', now(), 1)`)
  const { exitCode, json, text } = await run('materialize')
  expect(exitCode).toBe(1)
  expect(json).toMatchObject({
    views: [{ view: 'seen@1', entities: 1, setAside: { entities: 2, errors: [{ code: 'INVALID_TIME' }, { code: 'INVALID_ROW' }] } }],
    failed: [{ view: 'before@1', code: 'SOURCE_MISSING' }],
  })
  expect(text).toContain('failed: before@1: SOURCE_MISSING: ')
  await expect(run('materialize', 'before')).rejects.toMatchObject({ code: 'SOURCE_MISSING' })

  const status = await run('status')
  expect(status.exitCode).toBe(1)
  expect(status.text).toMatch(/^set aside: The entity "thing" = "timeless" of the view "seen@1" .* has no event time/m)
  const answers = await whileServing(async (at) => {
    await expect.poll(() => textOf(`${at}/metrics`)).toMatch(/^lockstep_view_set_aside_entities\{view="seen@1"\} 2$/m)
    const ask = async (...things: string[]) => {
      const body = JSON.stringify({ service: 's', entities: things.map((thing) => ({ thing })) })
      const answer = await fetch(`${at}/v1/features`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
      return [answer.status, await answer.text()]
    }
    return [await ask('prompt', 'timeless'), await ask('prompt', 'oldest')]
  })
  expect(answers).toEqual([
    // a row without a time never counts
    [200, expect.stringMatching(/"n":1.*"n":0/)],
    [422, expect.stringMatching(/"code":"ENTITY_SET_ASIDE","message":"Entity 1: The entity .*"cause":"INVALID_TIME"/)],
  ])
  await db.script('delete from lockstep_source.rows where at is null or not isfinite(at)')
  await run('materialize', 'seen')
  const healed = await run('status')
  expect(healed.text).not.toContain('set aside')

  // two runs have failed so far, which says little
  expect(healed.text).not.toContain('failing')
  await expect(run('materialize', 'before')).rejects.toMatchObject({ code: 'SOURCE_MISSING' })
  const failing = await run('status')
  expect(failing.exitCode).toBe(1)
  expect(failing.text).toMatch(
    /^ {2}Likely cause: The view "before@1" is not kept current: its last 3 runs have failed, and the first of them began .*s ago\. /m,
  )
  expect(failing.json).toMatchObject({
    views: expect.arrayContaining([
      expect.objectContaining({
        id: 'before@1',
        freshness: expect.objectContaining({ failing: { runs: 3, seconds: expect.any(Number) } }),
      }),
    ]),
  })
  await whileServing(async (at) => {
    await expect
      .poll(async () => await textOf(`${at}/readyz`), { timeout: 60_000 })
      .toContain('The view \\"before@1\\" is not kept current')
    let metrics = ''
    await expect.poll(async () => (metrics = await textOf(`${at}/metrics`))).toMatch(/^lockstep_view_failing_runs\{view="before@1"\} 3$/m)
    expect(metrics).toMatch(/^lockstep_view_failing_runs\{view="seen@1"\} 0$/m)
  })
  await db.script('create table other (thing text, at timestamptz, x int4)')
  expect((await run('materialize', 'before')).exitCode).toBe(0)
  expect((await run('status')).text).not.toContain('failing')
})
