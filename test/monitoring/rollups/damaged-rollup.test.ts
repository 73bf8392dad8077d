import { expect, test } from 'vitest'
import { LockstepError } from '../../../kernel/errors.ts'
import { readServedAges } from '../../../monitoring/freshness/served-ages.ts'
import { mergeRollupsJobs } from '../../../monitoring/rollups/merge-rollups.ts'
import { readRollup } from '../../../monitoring/rollups/read-rollups.ts'
import { createRollupRecorder } from '../../../monitoring/rollups/rollup-recorder.ts'
import { createRollupWriter } from '../../../monitoring/rollups/rollup-writer.ts'
import { TrafficSummary } from '../../../monitoring/rollups/traffic-summary.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import { loadConfig } from '../../../runtime/config.ts'
import { awaitJob } from '../../../runtime/jobs/await-job.ts'
import { submitJob } from '../../../runtime/jobs/submit-job.ts'
import { createLogger } from '../../../runtime/log.ts'
import { registryStatus } from '../../../serving/find/registry-status.ts'
import { during, openServer } from '../../opened-database.ts'

const opened = during(() => openServer())
const minute = 60_000_000

test('a damaged row is named with its remedy, and does not hide the rest of the status', async () => {
  const { db } = opened()
  const start = Math.floor((Date.now() * 1000) / minute) * minute - 10 * minute
  let now = start
  const log = createLogger('silent')
  const writer = createRollupWriter({ database: () => db, log })
  const recorder = createRollupRecorder({ writer, baselineOf: () => null, log, clock: () => now }, { rowsPerSecond: 1 })
  await recorder.flush()
  recorder.failed('damaged', 1, 'champion', new Error('no'))
  recorder.servedAge('seen@1', 1)
  now += minute
  await recorder.flush()
  const window = { from: start, to: start + minute }
  const damage = (model: string) =>
    db.query(`update lockstep.rollups set traffic = substring(traffic from 1 for 3) where model = $1 and at = to_timestamp($2)`, [
      model,
      start / 1e6,
    ])
  /** The statement that the message says. */
  const remedyOf = ({ message }: LockstepError): string => /delete from .*? and role = '\w*'/.exec(message)?.[0] ?? ''
  const failure = async (read: () => Promise<unknown>): Promise<LockstepError> => {
    const error: unknown = await read().then(
      () => null,
      (reason: unknown) => reason,
    )
    if (error instanceof LockstepError) return error
    throw new Error('It read damaged bytes.', { cause: error })
  }

  await damage('damaged')
  const readModel = () => readRollup(db, { model: 'damaged', ...window })
  const damaged = await failure(readModel)
  expect([damaged.code, damaged.message]).toEqual([
    'ROLLUP_DAMAGED',
    expect.stringMatching(/^The minute \S+Z of the statistics of the model "damaged", version 1, role "champion" cannot be read/),
  ])
  await db.script(remedyOf(damaged))
  expect(await readModel()).toMatchObject({ requests: 0, coverage: { minutes: 1 } })

  await damage('')
  const ofProcess = await failure(() => readServedAges(db, window))
  const status = await registryStatus({
    db,
    catalog: await loadCatalog(db),
    store: () => {
      throw new LockstepError('REDIS_UNAVAILABLE', 'It is down.')
    },
    storeKind: 'redis',
    streams: loadConfig({}),
  })
  expect(status.problems.map(({ what }) => what)).toContain(ofProcess.message)
  await db.script(remedyOf(ofProcess))
  expect((await readServedAges(db, window)).byView.size).toBe(0)
})

test('a merge reports a damaged minute and leaves it in place, and merges all other rows', async () => {
  const { db } = opened()
  const hour = 60 * minute
  // two days ago, so that hours and days are over
  const start = Math.floor((Date.now() * 1000) / (24 * hour) - 2) * 24 * hour
  let now = start
  const log = createLogger('silent')
  const writer = createRollupWriter({ database: () => db, log })
  const recorder = createRollupRecorder({ writer, baselineOf: () => null, log, clock: () => now }, { rowsPerSecond: 1 })
  for (const at of [start, start + minute]) {
    now = at
    await recorder.flush()
    for (const model of ['sound', 'torn']) for (let i = 0; i < 10; i++) recorder.failed(model, 1, 'champion', new Error('no'))
  }
  await recorder.close(60_000)
  // only the end is gone: nothing of what stands before it may be merged
  await db.query(
    `update lockstep.rollups set traffic = substring(traffic from 1 for length(traffic) - 1) where model = 'torn' and at = to_timestamp($1)`,
    [start / 1e6],
  )
  const kind = mergeRollupsJobs({ db, days: { minute: 7, hour: 90, day: 730 }, clock: () => Date.now() * 1000 })
  const merge = async () => {
    const submitted = await submitJob(db, kind, { spec: {}, subject: 'rollups', worker: 'w' })
    return await awaitJob(db, submitted?.id ?? 0, { signal: AbortSignal.timeout(60_000), work: { kinds: [kind], worker: 'w' } })
  }
  const { state, error } = await merge()
  expect([state, error?.code, error?.message]).toEqual([
    'failed',
    'ROLLUP_DAMAGED',
    expect.stringMatching(/^The minute \S+Z of the statistics of the model "torn", .* All other rows were merged\.$/),
  ])
  const merged = await db.query<{ model: string; parts: number; traffic: Buffer }>(
    `select model, parts, traffic from lockstep.merged_rollups where model in ('sound', 'torn') and step = 'hour' order by model`,
  )
  expect(merged.map(({ model, parts, traffic }) => [model, parts, TrafficSummary.decode(traffic)?.requests])).toEqual([
    ['sound', 2, 20],
    ['torn', 1, 10],
  ])
  // figures of that hour are not short of it in silence
  const read = () => readRollup(db, { model: 'torn', from: start, to: start + hour })
  await expect(read()).rejects.toMatchObject({ code: 'ROLLUP_DAMAGED' })
  await db.script(/delete from .*? and role = '\w*'/.exec(error?.message ?? '')?.[0] ?? '')
  expect(await merge()).toMatchObject({ state: 'done' })
  expect((await read()).requests).toBe(10)
})
