import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Outcome } from '../../cli/command.ts'
import { createContext } from '../../cli/context.ts'
import { prepare } from '../../cli/run.ts'
import { createTerminal } from '../../cli/terminal.ts'
import { withContext } from '../../cli/with-context.ts'
import { keepDeadLetters, maxDeadLetters } from '../../materializer/streams/dead-letters.ts'
import { loadConfig } from '../../runtime/config.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { createStreamMetrics } from '../../materializer/streams/stream-metrics.ts'
import { definitionFiles } from '../registry/definition-files.ts'
import { redisProducer } from '../runtime/streams/producers.ts'
import type { Producer } from '../runtime/streams/producers.ts'
import { testDatabase } from '../services/index.ts'
import { killAll, start } from './run-lockstep.ts'

const definitions = (stream: string): string => `
  import { entity, featureView, last, natsStream, redisStream, source, t } from 'lockstep'
  export const thing = entity('thing', { key: { thing: t.string } })
  export const rows = source('rows', { key: { thing: 'thing' }, eventTime: 'at', columns: { x: t.int32 }, ${stream} })
  export const other = source('other', { key: { thing: 'thing' }, eventTime: 'at', columns: { x: t.int32 }, stream: redisStream('things', { group: 'g' }) })
  export const view = featureView('view', { version: 1, entity: thing, source: rows, features: { x: last('x') } })
  export const more = featureView('more', { version: 1, entity: thing, source: other, features: { x: last('x') } })`

const files = definitionFiles({
  'redis.ts': definitions(`stream: redisStream('things')`),
  'same.ts': definitions(`stream: redisStream('things', { group: 'g' })`),
  'nats.ts': definitions(`stream: natsStream({ stream: 'THINGS' })`),
})
const spec = { kind: 'redis', stream: 'things', field: 'data', group: 'lockstep_rows' } as const
let folder: string
let db: Database
let close: () => Promise<void>
let url: string
let producer: Producer

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-streams-'))
  const database = await testDatabase()
  url = database.url
  db = openPostgres(url)
  producer = await redisProducer()
  close = async () => {
    killAll()
    await producer.close()
    await db.close()
    await database.drop()
    await rm(folder, { recursive: true, force: true })
  }
})
afterAll(() => close?.())

async function run(words: readonly string[]): Promise<Outcome> {
  const env = {
    LOCKSTEP_POSTGRES_URL: url,
    LOCKSTEP_DIR: folder,
    LOCKSTEP_LOG_LEVEL: 'silent',
    LOCKSTEP_STREAM_REDIS_URL: producer.server.url,
  }
  const context = createContext(loadConfig(env), createTerminal(true), new AbortController().signal)
  return await withContext(context, async () => (await prepare(words))(context))
}

it('status shows stream lag, dead letters, and servers that do not report', async () => {
  await run(['apply', join(files, 'redis.ts')])
  await producer.send('things', ['a', 'b'])
  await keepDeadLetters(db, 'rows', spec, [{ message: '1-0', body: null, reason: 'not_json', error: 'It is no \0 JSON.' }])
  const { json, text } = await run(['status'])
  const streams = (json as { streams: unknown[] }).streams
  expect(streams).toMatchObject([
    { source: 'other', spec: { group: 'g' }, lag: { waiting: 2, pending: 0 }, problem: null, deadLetters: null },
    {
      source: 'rows',
      spec: { group: 'lockstep_rows' },
      lag: { waiting: 2, pending: 0 },
      deadLetters: { count: 1, lastError: 'It is no \uFFFD JSON.' },
    },
  ])
  expect(text).toMatch(/rows +Redis stream "things" +lockstep_rows +2 +0 +1 +\d+ seconds? ago: It is no/)

  // a change of what feeds a source is none of the source
  const applied = await run(['apply', join(files, 'nats.ts')])
  expect(JSON.stringify(applied.json)).toContain('"status":"changed"')
  const after = await run(['status'])
  expect(after.text).toContain('"rows" is unknown: The server of the JetStream stream "THINGS" is not configured; set "LOCKSTEP_NATS_URL".')
  await expect(run(['apply', join(files, 'same.ts')])).rejects.toMatchObject({ code: 'DEFINITIONS_INVALID' })
})

it('a worker reads its streams, reports lag in metrics, and exits with 0 on a signal', async () => {
  await run(['apply', join(files, 'redis.ts')])
  const worker = start(
    {
      LOCKSTEP_POSTGRES_URL: url,
      LOCKSTEP_DIR: folder,
      LOCKSTEP_REDIS_URL: producer.server.url,
    },
    'worker',
    '--metrics-port',
    '0',
  )
  const [, port] = await worker.until(/metrics are on port (\d+)/)
  await producer.send('things', ['{"thing":"a","at":"2026-03-01T09:30:00Z","x":1}'])
  const said = async (): Promise<string> => await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  // none waits before the message is sent, too
  await expect.poll(said).toContain('lockstep_stream_messages_total{source="rows",outcome="appended"} 1')
  await expect.poll(said).toContain('lockstep_stream_lag_messages{source="rows",state="waiting"} 0')
  expect(await db.query('select thing, x from lockstep_source.rows')).toEqual([{ thing: 'a', x: 1 }])
  worker.child.kill('SIGTERM')
  expect((await worker.ended).code).toBe(0)
})

it('dead letters are kept once each, at most a thousand per source', async () => {
  const letters = Array.from({ length: maxDeadLetters + 5 }, (_, i) => ({
    message: `m${i}`,
    body: Buffer.alloc(i === maxDeadLetters ? 70_000 : 10, 'x'),
    reason: 'r',
    error: 'e',
  }))
  await keepDeadLetters(db, 'many', spec, letters.slice(0, 10))
  for (let at = 0; at < letters.length; at += 201) await keepDeadLetters(db, 'many', spec, letters.slice(at, at + 201))
  const kept = await db.query(
    `select count(*)::int n, max(length(body)) most, max(size_bytes) size, bool_or(message = 'm0') oldest,
       bool_or(message = 'm1004') newest from lockstep.stream_dead_letters where source = 'many'`,
  )
  expect(kept).toEqual([{ n: maxDeadLetters, most: 65_536, size: 70_000, oldest: false, newest: true }])
})

it('metrics count messages by outcome, and report the lag', async () => {
  const registry = new Registry()
  const metrics = createStreamMetrics(registry)
  metrics.messages('rows', { appended: 3, duplicate: 1, dead: 0 })
  metrics.lag('rows', { waiting: 7, pending: 2 })
  metrics.failure('rows')
  const said = await registry.metrics()
  for (const line of [
    'lockstep_stream_messages_total{source="rows",outcome="appended"} 3',
    'lockstep_stream_messages_total{source="rows",outcome="duplicate"} 1',
    'lockstep_stream_lag_messages{source="rows",state="waiting"} 7',
    'lockstep_stream_lag_messages{source="rows",state="pending"} 2',
    'lockstep_stream_failures_total{source="rows"} 1',
  ]) {
    expect(said).toContain(line)
  }
  expect(said).not.toContain('outcome="dead"')
})

it('dead letters are listed, shown, retried once each, and dropped', async () => {
  await run(['apply', join(files, 'redis.ts')])
  const env = ['rows', spec] as const
  const body = (x: unknown, more: object = {}): Buffer =>
    Buffer.from(JSON.stringify({ thing: 'letter', at: '2026-03-01T09:30:00Z', x, ...more }))
  await db.query('delete from lockstep.stream_dead_letters')
  await keepDeadLetters(db, ...env, [
    { message: '2-0', body: body(5), reason: 'future', error: 'It was ahead of a clock.' },
    { message: '3-0', body: body('late'), reason: 'wrong_type', error: 'It is "late".' },
    { message: '4-0', body: body(6, { _event_id: 'its own' }), reason: 'future', error: 'It was ahead of a clock.' },
    { message: '5-0', body: Buffer.concat([body(7), Buffer.alloc(70_000, ' ')]), reason: 'not_json', error: 'It is long.' },
    { message: '6-0', body: Buffer.from([0xff, 0xfe]), reason: 'not_json', error: 'It is no text.' },
  ])
  await keepDeadLetters(db, 'gone', spec, [{ message: '7-0', body: null, reason: 'not_json', error: 'It is of a source that is gone.' }])
  const listed = async (...words: string[]) => {
    const { json } = await run(['dead-letter', 'list', ...words])
    return (json as { deadLetters: { id: number; source: string; message: string; reason: string; cutOff: boolean }[] }).deadLetters
  }
  const all = await listed()
  expect(all.map(({ source, message, cutOff }) => [source, message, cutOff])).toEqual([
    ['gone', '7-0', false],
    ['rows', '6-0', false],
    ['rows', '5-0', true],
    ['rows', '4-0', false],
    ['rows', '3-0', false],
    ['rows', '2-0', false],
  ])
  expect((await run(['dead-letter', 'list', 'rows'])).text).toMatch(/wrong_type +It is "late"\./)
  await expect(run(['dead-letter', 'list', 'rowz'])).rejects.toMatchObject({ code: 'UNKNOWN_DEFINITION' })
  const idOf = (of: string): string => String(all.find(({ message }) => message === of)?.id)
  const shown = async (of: string) => await run(['dead-letter', 'show', idOf(of)])
  expect((await shown('3-0')).json).toMatchObject({ reason: 'wrong_type', body: body('late').toString(), encoding: 'utf8' })
  expect((await shown('3-0')).text).toContain('"x":"late"')
  expect((await shown('6-0')).json).toMatchObject({ body: '//4=', encoding: 'base64' })
  expect((await shown('7-0')).json).toMatchObject({ body: null, encoding: null })
  expect((await shown('5-0')).text).toContain('of which the first 65.5 kB are kept')

  for (const words of [['retry'], ['retry', '--all', idOf('2-0')], ['drop', 'x'], ['show', '0']])
    await expect(run(['dead-letter', ...words])).rejects.toMatchObject({ code: 'USAGE' })
  await expect(run(['dead-letter', 'drop', idOf('2-0'), '999999', '--yes'])).rejects.toMatchObject({ code: 'NOT_FOUND' })

  expect((await run(['dead-letter', 'retry', idOf('2-0')])).json).toMatchObject({ left: ['view@1'] })
  await run(['materialize', 'view'])
  // one of them was sent again meanwhile
  const rows = () => db.query(`select x from lockstep_source.rows where thing = 'letter' order by x`)
  await keepDeadLetters(db, ...env, [{ message: '2-0', body: body(5), reason: 'future', error: 'It was ahead of a clock.' }])
  for (const command of ['retry', 'drop'])
    await expect(run(['dead-letter', command, '--source', 'nope'])).rejects.toMatchObject({ code: 'UNKNOWN_DEFINITION' })
  const retried = await run(['dead-letter', 'retry', '--source', 'rows'])
  expect(retried).toMatchObject({
    exitCode: 1,
    json: {
      taken: [Number(idOf('4-0')), expect.any(Number)],
      failed: [
        { message: '3-0', reason: 'wrong_type' },
        { message: '5-0', reason: 'cut_off' },
        { message: '6-0', reason: 'not_json' },
      ],
      left: [],
    },
  })
  expect(await rows()).toEqual([{ x: 5 }, { x: 6 }])
  expect(await db.query(`select _event_id id from lockstep_source.rows where thing = 'letter' order by x`)).toEqual([
    { id: 'redis:things:2-0' },
    { id: 'its own' },
  ])
  expect((await listed('rows')).map(({ message, reason }) => [message, reason])).toEqual([
    ['6-0', 'not_json'],
    ['5-0', 'cut_off'],
    ['3-0', 'wrong_type'],
  ])
  expect(await run(['dead-letter', 'retry', idOf('7-0')])).toMatchObject({ exitCode: 1, json: { taken: [] } })
  expect((await run(['dead-letter', 'drop', idOf('3-0'), '--yes'])).json).toMatchObject({ dropped: 1 })
  expect((await run(['dead-letter', 'drop', '--all', '--yes'])).json).toMatchObject({ dropped: 3 })
  expect((await run(['dead-letter', 'list'])).text).toBe('There are no dead letters.')
})
