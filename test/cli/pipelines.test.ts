import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { Producer, Written } from '../runtime/streams/producers.ts'
import { redisProducer } from '../runtime/streams/producers.ts'
import { landing, landingsPipeline, streamingSet } from '../serving/streaming/pipeline-world.ts'
import type { World } from '../serving/world.ts'
import { ask, createWorld } from '../serving/world.ts'
import { unlessSlow } from '../unless-slow.ts'
import type { LockstepCommand } from './one-process.ts'
import { commandsWith } from './one-process.ts'
import type { Environment } from './run-lockstep.ts'
import { killAll, start } from './run-lockstep.ts'

let world: World
let producer: Producer
let folder: string
let env: Environment
let lockstep: LockstepCommand

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-pipelines-'))
  producer = await redisProducer()
  world = await createWorld('redis', streamingSet(producer.spec('landed', 'own'), [landingsPipeline({ sink: producer.sink('scored') })]))
  for (const view of ['airport_delays', 'airport_typed', 'airport_required', 'account_balance'])
    await world.materialize(view, Date.now() * 1000)
  env = {
    LOCKSTEP_POSTGRES_URL: world.postgresUrl,
    LOCKSTEP_REDIS_URL: world.redis.url,
    LOCKSTEP_REDIS_PREFIX: world.redis.prefix,
    LOCKSTEP_STREAM_REDIS_URL: producer.server.url,
    LOCKSTEP_LOG_LEVEL: 'info',
    LOCKSTEP_DIR: folder,
  }
  lockstep = commandsWith(env, folder)
})

afterAll(async () => {
  killAll()
  await world?.close()
  await producer?.close()
  if (folder !== undefined) await rm(folder, { recursive: true, force: true })
})

async function run(...words: readonly string[]): Promise<Record<string, unknown>> {
  const { exitCode, out, err } = await lockstep(...words, '--json')
  expect(exitCode, `${words.join(' ')}: ${err}`).toBe(0)
  return JSON.parse(out) as Record<string, unknown>
}

const atLeast = (count: number) => (written: readonly Written[]) => written.length >= count

it('a worker runs pipelines once their model has a version, and people pause, resume and replay them', async () => {
  await world.push('echo', 'identity')
  const worker = start(env, 'worker', '--only', 'pipelines', '--metrics-port', '0', '--json')
  const [, port] = await worker.until(/"metricsPort":\s*(\d+)/)
  await producer.send('landed', [landing('A', 1), landing('B', 2), 'poison'])
  // it has no version, which is no fault of the messages
  await worker.until(/a pipeline waits/)
  await world.push('delay', 'logistic')
  expect((await producer.read('scored', atLeast(2))).map(({ key }) => key)).toEqual(['A', 'B'])
  // no pipeline needs the other model
  await worker.until(/"model":"delay","version":1,[^\n]*"a model is loaded"/)
  // a worker that stands still for a second counts as one that did not answer
  const promote = (model: string, servers: object) =>
    unlessSlow(1000, async (attempt) => {
      if (attempt > 0) await run('model', 'alias', model, 'champion', '--remove')
      expect(await run('model', 'promote', `${model}@1`, '--reason', 'a test')).toMatchObject({ servers })
    })
  await promote('echo', { asked: 0, loaded: 0 })
  await promote('delay', { asked: 1, loaded: 1 })

  const { url } = await world.serve({
    clock: () => Date.now() * 1000,
    config: { bodyLimitBytes: 100_000, streamRedisUrl: producer.server.url },
  })
  await vi.waitFor(async () => expect((await ask(url, '/v1/pipelines')).status).toBe(200), 60_000)
  const shown = {
    name: 'score',
    reads: 'Redis stream "landed"',
    writesTo: 'Redis stream "scored"',
    paused: false,
    replays: 0,
    // a message that is no event is a letter of the source
    deadLetters: 0,
  }
  expect((await ask(url, '/v1/pipelines')).body).toMatchObject({ pipelines: [shown] })
  expect(await run('pipeline', 'list')).toMatchObject({ pipelines: [shown] })
  await vi.waitFor(
    async () => expect(await run('pipeline', 'show', 'score')).toMatchObject({ ...shown, lag: { waiting: 0, pending: 0 } }),
    60_000,
  )
  const shownBy = async (...words: readonly string[]): Promise<string> => (await lockstep('pipeline', 'show', 'score', ...words)).out
  for (const words of [[], ['--server', url]]) {
    await vi.waitFor(
      async () => expect(await shownBy(...words)).toMatch(/state +running on 1 process\n[^]*waiting +0 messages, and 0 given to workers/),
      60_000,
    )
  }
  expect(await run('dead-letter', 'list')).toMatchObject({ deadLetters: [{ source: 'landings', reason: 'not_json' }] })
  expect((await lockstep('dead-letter', 'retry', '--all')).exitCode).toBe(1)
  const there = ['--server', url]
  const { deadLetters } = (await run('dead-letter', 'list', 'landings', ...there)) as { readonly deadLetters: readonly { id: number }[] }
  expect(deadLetters).toEqual((await run('dead-letter', 'list'))['deadLetters'])
  const id = String(deadLetters[0]?.id)
  expect(await run('dead-letter', 'show', id, ...there)).toEqual(await run('dead-letter', 'show', id))
  expect(await run('dead-letter', 'show', id, ...there)).toMatchObject({ body: 'poison', encoding: 'utf8', sizeBytes: 6, cutOff: false })
  expect(await run('dead-letter', 'list', 'pipeline score', ...there)).toEqual({ deadLetters: [] })
  expect((await lockstep('dead-letter', 'list', 'landing', ...there)).err).toContain('Did you mean "landings"')
  expect((await lockstep('dead-letter', 'list', 'pipeline scor', ...there)).err).toContain('Did you mean "score"')
  const retried = await lockstep('dead-letter', 'retry', id, ...there, '--json')
  expect(retried.err).toBe('')
  expect([retried.exitCode, JSON.parse(retried.out)]).toEqual([
    1,
    { taken: [], failed: [expect.objectContaining({ reason: 'not_json' })], left: [] },
  ])
  // its message is corrected, as if the table had always had it
  await world.db.query(`update lockstep.stream_dead_letters set body = $1, size_bytes = $2`, [
    Buffer.from(landing('C', 3)),
    Buffer.byteLength(landing('C', 3)),
  ])
  expect(await run('dead-letter', 'retry', '--source', 'landings', ...there)).toEqual({ taken: [Number(id)], failed: [], left: [] })
  expect((await lockstep('dead-letter', 'show', id, ...there)).err).toMatch(/^error NOT_FOUND: There is no dead letter "/)
  await world.db.query(
    `insert into lockstep.stream_dead_letters (source, stream, message, reason, error) values ('landings', 'redis:x', '1-0', 'a', 'b')`,
  )
  expect(await run('dead-letter', 'drop', '--all', '--yes', ...there)).toMatchObject({ dropped: 1 })
  expect((await ask(url, '/v1/dead-letters/drop', { all: true, source: 'landings' })).body.error).toMatchObject({ code: 'INVALID_REQUEST' })

  expect((await ask(url, '/v1/pipelines/score/pause', { reason: 'a test' })).body).toMatchObject({
    pipeline: 'score',
    paused: true,
    changed: true,
  })
  expect(await run('pipeline', 'pause', 'score')).toEqual({ pipeline: 'score', paused: true, changed: false })
  expect(await run('pipeline', 'resume', 'score')).toEqual({ pipeline: 'score', paused: false, changed: true })
  expect(await run('pipeline', 'pause', 'score', ...there)).toEqual({ pipeline: 'score', paused: true, changed: true })
  expect(await run('pipeline', 'list', ...there)).toEqual({ pipelines: [expect.objectContaining({ ...shown, paused: true })] })
  expect(await run('pipeline', 'show', 'score', ...there)).toMatchObject({ ...shown, paused: true })
  expect(await run('pipeline', 'resume', 'score', ...there)).toEqual({ pipeline: 'score', paused: false, changed: true })
  expect((await lockstep('pipeline', 'show', 'scores', ...there)).err).toContain('Did you mean "score"')
  expect((await ask(url, '/v1/pipelines/scores/resume', {})).body.error).toMatchObject({
    code: 'UNKNOWN_DEFINITION',
    message: expect.stringContaining('Did you mean "score"') as string,
  })

  expect(await run('pipeline', 'replay', 'score', '--position', '0-1', '--reason', 'a new model')).toEqual({
    pipeline: 'score',
    from: '0-1',
    replays: 1,
  })
  const all = await producer.read('scored', atLeast(4))
  expect(all.map(({ id }) => id)).toEqual([...all.slice(0, 2), ...all.slice(0, 2)].map(({ id }) => id))
  expect(await run('pipeline', 'replay', 'score', '--position', '0-1', ...there)).toEqual({ pipeline: 'score', from: '0-1', replays: 2 })
  await producer.read('scored', atLeast(6))
  const { exitCode, err } = await lockstep('pipeline', 'replay', 'score', '--json')
  expect([exitCode, err]).toEqual([2, expect.stringContaining('Give either \\"--from\\" or \\"--position\\"')])
  const { rows } = {
    rows: await world.db.query<{ action: string }>(`select action from lockstep.audit_log where subject = 'score' order by id`, []),
  }
  expect(rows.map(({ action }) => action)).toEqual([
    'pipeline.pause',
    'pipeline.resume',
    'pipeline.pause',
    'pipeline.resume',
    'pipeline.replay',
    'pipeline.replay',
  ])

  // no worker does backfills here
  const begun = await run('backfill', 'airport_delays', '--detach', '--reason', 'a test', ...there)
  expect(begun).toEqual({ id: expect.any(Number), view: 'airport_delays@1', joined: false })
  expect((await lockstep('job', 'show', String(begun['id']), ...there)).out).toContain('backfill')
  expect(await run('job', 'cancel', String(begun['id']), ...there)).toMatchObject({ state: 'cancelled', isClean: true })
  const watched = await lockstep('job', 'watch', String(begun['id']), ...there)
  expect([watched.exitCode, watched.err]).toEqual([1, expect.stringMatching(/^error STOPPED: The job \d+ was cancelled/)])
  expect(await run('job', 'retry', String(begun['id']), ...there)).toMatchObject({ kind: 'backfill', state: 'running' })

  let metrics = ''
  await expect
    .poll(async () => (metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()))
    .toMatch(/^lockstep_pipeline_messages_total\{pipeline="score",outcome="answered"\} 6$/m)
  expect(metrics.match(/^# TYPE lockstep_build_info/gm)).toHaveLength(1)
  // only servers have it: the rules for Prometheus miss them by it
  expect(metrics).not.toContain('lockstep_in_flight_limit')
  worker.child.kill('SIGTERM')
  const { code, out, err: log } = await worker.ended
  expect(code).toBe(0)
  expect(`${out}${log}`).not.toMatch(/"model":"echo",[^\n]*"a model is loaded"/)
})
