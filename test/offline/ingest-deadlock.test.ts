import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { expect, it, onTestFinished, vi } from 'vitest'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import { ingestOnce } from '../../offline/ingest/ingest-once.ts'
import { during, openServer } from '../opened-database.ts'

const opened = during(() => openServer())
const sales: SourceSpec = {
  name: 'sales',
  relation: { kind: 'table', table: 'sales' },
  key: [{ part: 'card', column: 'card' }],
  eventTime: 'at',
  known: null,
  columns: [],
}

async function connected(): Promise<Client> {
  const client = new Client({ connectionString: opened().url })
  await client.connect()
  onTestFinished(() => client.end())
  return client
}

const add = (client: Client, id: string) =>
  client.query(
    `INSERT INTO sales (card, at, "_event_id") VALUES ('a', '2001-01-01Z', $1) ON CONFLICT ("_event_id") WHERE "_event_id" IS NOT NULL DO NOTHING`,
    [id],
  )

it('loads a file although a push writes the same events in another order', async () => {
  const { db } = opened()
  await db.script(`CREATE TABLE sales (card text, at timestamptz NOT NULL, "_row" bigint GENERATED ALWAYS AS IDENTITY,
      "_xid" xid8 NOT NULL DEFAULT pg_current_xact_id(), "_event_id" text);
    CREATE UNIQUE INDEX ON sales ("_event_id") WHERE "_event_id" IS NOT NULL`)
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-ingest-deadlock-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const file = join(folder, 'sales.csv')
  await writeFile(file, 'card,at,_event_id\na,2001-01-01,e1\na,2001-01-01,e2\na,2001-01-01,e3\n')
  const waiting = (count: number) =>
    vi.waitFor(
      async () => expect(await db.query(`SELECT FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'`)).toHaveLength(count),
      60_000,
    )

  // PostgreSQL ends the session that has waited for deadlock_timeout when the deadlock exists: that of the load
  const [push, blocker] = [await connected(), await connected()]
  await push.query(`SET deadlock_timeout = '1h'`)
  await push.query('BEGIN')
  await add(push, 'e3')
  await blocker.query('BEGIN')
  await add(blocker, 'e2')
  const load = ingestOnce(db, sales, file, { actor: 'me' })
  await waiting(1)
  const last = add(push, 'e1')
  await waiting(2)
  await blocker.query('ROLLBACK')
  await last
  await push.query('COMMIT')

  expect(await load).toMatchObject({ rows: 1, already: 2 })
  expect(await db.query('SELECT "_event_id" AS id FROM sales ORDER BY 1')).toEqual([{ id: 'e1' }, { id: 'e2' }, { id: 'e3' }])
})
