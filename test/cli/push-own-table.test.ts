import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Outcome } from '../../cli/command.ts'
import { createContext } from '../../cli/context.ts'
import { prepare } from '../../cli/run.ts'
import { createTerminal } from '../../cli/terminal.ts'
import { withContext } from '../../cli/with-context.ts'
import { loadConfig } from '../../runtime/config.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { definitionFiles } from '../registry/definition-files.ts'
import { testDatabase } from '../services/index.ts'

const definitions = (push: string): string => `
  import { count, entity, featureService, featureView, last, source, t } from 'lockstep'
  const card = entity('card', { key: { card: t.string } })
  const payments = source('payments', {
    table: 'payments', ${push} key: { card: 'card' }, eventTime: 'paid_at', known: 'booked_at', columns: { amount: t.float64, state: t.string },
  })
  export const spending = featureView('spending', {
    version: 1, entity: card, source: payments, features: { paid: count('365d'), amount: last('amount'), state: last('state') },
  })
  export const service = featureService('fraud', { version: 1, features: [spending] })`
const files = definitionFiles({ 'plain.ts': definitions(''), 'push.ts': definitions('push: true,') })
let folder: string
let url: string
let db: Database
let drop: () => Promise<void>

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-push-'))
  const database = await testDatabase()
  ;[url, drop] = [database.url, database.drop]
  db = openPostgres(url)
  await db.script(`
    create type state as enum ('open', 'paid');
    create table payments (
      id bigint generated always as identity primary key, card varchar(8) not null, paid_at timestamptz not null, booked_at timestamp, amount numeric(10, 2),
      state state, twice numeric generated always as (amount * 2) stored, noted_at timestamptz not null default now()
    );
    insert into payments (card, paid_at, amount) values ('c1', now() - interval '1 day', 10), ('c1', now() - interval '2 days', 20)`)
})

afterAll(async () => {
  await db?.close()
  await drop?.()
  await rm(folder, { recursive: true, force: true })
})

async function run(...words: readonly string[]): Promise<Outcome> {
  const config = loadConfig({ LOCKSTEP_POSTGRES_URL: url, LOCKSTEP_DIR: folder, LOCKSTEP_LOG_LEVEL: 'silent' })
  const context = createContext(config, createTerminal(true), new AbortController().signal)
  return await withContext(context, async () => (await prepare(words))(context))
}

/** The part of the server's answer that the test reads. */
interface Answer {
  readonly error?: { readonly code: string }
  readonly token?: string
  readonly results?: readonly { readonly features: object }[]
}

/** While a server answers. `ask` posts a body. */
async function whileServing<T>(
  work: (ask: (path: string, body: object) => Promise<{ status: number; body: Answer }>) => Promise<T>,
): Promise<T> {
  const config = loadConfig({ LOCKSTEP_POSTGRES_URL: url, LOCKSTEP_DIR: folder, LOCKSTEP_LOG_LEVEL: 'silent' })
  const context = createContext(config, createTerminal(true), new AbortController().signal)
  return await withContext(context, async () => {
    const { json } = await (await prepare(['serve', '--port', '0']))(context)
    const { url: at } = json as { url: string }
    await expect.poll(async () => (await fetch(`${at}/readyz`)).status, { timeout: 60_000 }).toBe(200)
    return await work(async (path, body) => {
      const response = await fetch(`${at}${path}`, { method: 'POST', body: JSON.stringify(body) })
      const answer: Answer = JSON.parse(await response.text())
      return { status: response.status, body: answer }
    })
  })
}

const row = { card: 'c1', paid_at: new Date().toISOString(), amount: 0.07, state: 'paid' }
const push = '/v1/sources/payments/events'
const question = { service: 'fraud', entities: [{ card: 'c1' }] }

it("a user's table of other types takes pushes after one plan, apply and rebuild", async () => {
  await run('apply', join(files, 'plain.ts'))
  await run('materialize')
  const before = await whileServing((ask) => ask(push, { events: [row] }))
  expect([before.status, before.body.error]).toEqual([
    422,
    expect.objectContaining({ code: 'NOT_PUSHABLE', message: expect.stringContaining('Add push: true') }),
  ])

  const plan = await run('plan', join(files, 'push.ts'))
  expect(plan.text).toMatch(/~ table "payments" +gains _row, _xid, _event_id, _online_only, 3 indexes\n/)
  expect(plan.text).toMatch(/> rewrite "payments" +2 rows \(\d.*\); locked for about 1 s\n {2}> rebuild spending@1 +2 rows /)
  expect((await run('apply', join(files, 'push.ts'))).text).toMatch(/Next: lockstep materialize spending@1 --rebuild$/)
  await expect(run('materialize')).rejects.toMatchObject({ code: 'STORE_MISMATCH' })
  await run('materialize', 'spending@1', '--rebuild')

  await whileServing(async (ask) => {
    const features = async (after?: string) => (await ask('/v1/features', { ...question, after })).body.results?.[0]?.features
    expect(await features()).toEqual({ paid: 2, amount: 10, state: null })
    const pushed = await ask(push, {
      events: [
        { ...row, _event_id: 'one' },
        { ...row, _event_id: 'one' },
      ],
    })
    expect([pushed.status, pushed.body]).toEqual([200, expect.objectContaining({ accepted: 1, duplicates: 1 })])
    // the push waits 250 ms until it is online, and the read answers from history if it is not
    expect(await features(pushed.body.token)).toEqual({ paid: 3, amount: 0.07, state: 'paid' })
    const wrong = await Promise.all(
      [{ amount: 1e9 }, { card: 'too long for it' }, { state: 'lost' }, { twice: 1 }, { card: null }].map((part) =>
        ask(push, { events: [{ ...row, ...part }] }),
      ),
    )
    expect(wrong.map(({ status, body }) => [status, body.error?.code])).toEqual(wrong.map(() => [400, 'INVALID_EVENT']))
    const long = await ask(push, { events: [row, row, row, { ...row, card: 'too long for it' }, row] })
    expect([long.status, long.body.error]).toEqual([
      400,
      expect.objectContaining({
        code: 'INVALID_EVENT',
        message: expect.stringMatching(
          /^Event 3 cannot be stored\. The table of the source "payments" refuses an event: value too long for type/,
        ),
        details: { source: 'payments', event: 3, reason: 'refused_by_table' },
      }),
    ])
  })
  await db.script(`insert into payments (card, paid_at, amount) values ('c1', now() + interval '1 s', 5)`)
  expect((await run('materialize')).json).toMatchObject({ views: [{ mode: 'incremental', rows: 1 }] })
  expect(await db.query(`select amount::text, twice::text, _event_id from payments where _xid > '0' order by _row`)).toEqual([
    { amount: '0.07', twice: '0.14', _event_id: 'one' },
    { amount: '5.00', twice: '10.00', _event_id: null },
  ])
})
