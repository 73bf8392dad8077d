import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { PoolClient } from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import type { AroundCopy } from './database.ts'
import { oneStatement } from './one-statement.ts'
import type { Timed } from './round-trips.ts'

/** Runs `copyIn` of `Database` on a connection. After a failure the connection is unusable. */
export async function copyIn(
  client: PoolClient,
  copy: string,
  chunks: AsyncIterable<Uint8Array>,
  around: AroundCopy | undefined,
  timed: Timed,
): Promise<number> {
  if (around !== undefined) await client.query('BEGIN')
  for (const statement of around?.before ?? []) await client.query(oneStatement(statement))
  const sink = client.query(copyFrom(copy))
  await timed(() => pipeline(Readable.from(chunks, { objectMode: true }), sink))
  for (const statement of around?.between ?? []) await client.query(oneStatement(statement))
  if (around !== undefined) {
    around.onRows((await client.query(oneStatement(around.after(sink.rowCount)))).rows)
    await client.query('COMMIT')
  }
  return sink.rowCount
}
