import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { failedSchedules } from '../../monitoring/alerts/checks/failed-schedules.ts'
import { jobs } from '../../monitoring/alerts/checks/jobs.ts'
import { findProblems, readFailedJobs, watchedTrainings } from '../../monitoring/problems/find-problems.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { beginTraining } from '../../registry/trainings/begin-run.ts'
import type { TrainingSpec } from '../../registry/trainings/training-spec.ts'
import { createMetricsRegistry } from '../../runtime/metrics.ts'
import { registerTrainingGauges } from '../../training/training-gauges.ts'
import type { TrainingWorld } from './training-world.ts'
import { createTrainingWorld, daily, day, fitting, instant } from './training-world.ts'

let world: TrainingWorld
beforeAll(async () => {
  world = await createTrainingWorld()
})
afterAll(async () => await world?.close())

let runs = 0
const declared = { ...daily, schedule: null }

async function begin(change: Partial<TrainingSpec> = {}): Promise<number> {
  await world.declare({ ...declared, ...change })
  const beginner = { db: world.db, catalog: await loadCatalog(world.db), worker: 'test', by: { actor: 'ada' } }
  return (await beginTraining(beginner, 'daily', instant + ++runs)).job.id
}

async function run(script: string, change: Partial<TrainingSpec> = {}): Promise<number> {
  await world.install('train', script)
  const job = await begin(change)
  await world.workUntil(() => world.ended('daily'))
  return job
}

const copying = `cat '${fitting}' > "$3"`

async function problems(nowMicros = Date.now() * 1000) {
  const catalog = await loadCatalog(world.db)
  const trainings = await watchedTrainings(world.db, catalog, nowMicros)
  const sources = {
    alerts: [],
    failed: await readFailedJobs(world.db, nowMicros),
    trainings,
    views: [],
    lacks: [],
    storeFailure: null,
    lacksWorker: false,
  }
  return findProblems(catalog, sources, nowMicros)
}

async function metrics(): Promise<string[]> {
  const registry = createMetricsRegistry()
  registerTrainingGauges(registry, { database: async () => world.db, catalog: () => loadCatalog(world.db) })
  return (await registry.metrics()).split('\n').filter((line) => line.startsWith('lockstep_training_'))
}

const schedules = async (nowMicros = Date.now() * 1000) => await failedSchedules(world.db, null, await loadCatalog(world.db), nowMicros)

describe('a training is a problem', () => {
  it('while its newest run has failed, also after a day, and an alert', async () => {
    expect(await problems()).toEqual([])
    const job = await run('exit 3')
    const problem = {
      id: 'failed jobs of training daily',
      what: `The training "daily" failed (job ${job}).`,
      cause: expect.stringContaining('exited with 3') as string,
      link: { kind: 'job', id: String(job) },
      about: { kind: 'model', id: 'delay' },
      command: `lockstep job retry ${job}`,
    }
    expect(await problems()).toMatchObject([problem])
    expect(await problems(Date.now() * 1000 + 5 * day)).toMatchObject([problem])
    expect(await schedules()).toMatchObject([
      { subject: 'training daily', state: 'breach', cause: expect.stringContaining('exited with 3') as string },
    ])
  })

  it('while the version of its newest run was refused', async () => {
    const job = await run(copying, { require: [{ metric: 'gini', atLeast: 0.8 }] })
    expect(await problems()).toMatchObject([
      {
        what: `The training "daily" made a version that was refused (job ${job}).`,
        cause: expect.stringContaining('gini is missing') as string,
        command: 'lockstep training show daily',
      },
    ])
    expect(await schedules()).toMatchObject([{ state: 'ok' }])
  })

  it('no more when a version is registered, which metrics count', async () => {
    const job = await run(copying)
    expect(await problems()).toEqual([])
    const [ended] = await world.db.query<{ at: number }>(
      'select extract(epoch from finished_at)::float8 as at from lockstep.jobs where id = $1',
      [job],
    )
    expect(await metrics()).toEqual([
      'lockstep_training_runs{training="daily",outcome="failed"} 1',
      'lockstep_training_runs{training="daily",outcome="refused"} 1',
      'lockstep_training_runs{training="daily",outcome="registered"} 1',
      `lockstep_training_last_success_timestamp_seconds{training="daily"} ${ended?.at}`,
    ])
  })

  it('when two instants of its schedule have brought no version', async () => {
    await world.declare(daily)
    const at = (days: number) => Date.now() * 1000 + days * day
    // the instant after the version, and the one after that
    expect([await problems(at(1)), (await schedules(at(1)))[0]?.state]).toEqual([[], 'ok'])
    const late = 'The training "daily" has registered no version since '
    expect(await problems(at(2))).toMatchObject([
      { id: 'failed jobs of training daily', what: expect.stringContaining(late) as string, command: 'lockstep training show daily' },
    ])
    expect(await schedules(at(2))).toMatchObject([
      { subject: 'training daily', state: 'breach', cause: expect.stringContaining(late) as string },
    ])
    expect(await metrics()).toContain('lockstep_training_late{training="daily"} 0')
    await world.db.script(`update lockstep.jobs set finished_at = finished_at - interval '2 days' where state = 'done'`)
    // instants before it had the schedule do not count
    expect(await metrics()).toContain('lockstep_training_late{training="daily"} 0')
    await world.db.script(`update lockstep.definition_states set at = at - interval '2 days' where kind = 'training'`)
    expect(await metrics()).toContain('lockstep_training_late{training="daily"} 1')
    await world.db.script(`update lockstep.jobs set finished_at = finished_at + interval '2 days' where state = 'done'`)
  })

  it('where no worker takes its run for five minutes', async () => {
    const job = await begin({ trainer: 'absent' })
    const now = Date.now() * 1000
    expect(await problems(now)).toEqual([])
    expect(await problems(now + 301_000_000)).toMatchObject([
      {
        what: `No worker works on the training "daily" (job ${job}).`,
        cause: expect.stringContaining('No worker has the trainer "absent"') as string,
        todo: 'Put an executable file "absent" into the folder LOCKSTEP_TRAINERS of a worker.',
      },
    ])
  })

  it('not where its trainer takes long', async () => {
    const catalog = await loadCatalog(world.db)
    // the step is held, and was seen at the same place an hour ago
    await world.db.query(
      `update lockstep.job_chunks set claim = gen_random_uuid(), worker = 'w', claimable_at = clock_timestamp() + interval '1 h' where state = 'open'`,
    )
    const [step] = await world.db.query<{ name: string; mark: string }>(
      `select concat_ws(' ', c.job, c.step, c.number) as name, concat_ws(' ', c.attempts, c.progress, c.claim, j.chunks) as mark
       from lockstep.job_chunks c join lockstep.jobs j on j.id = c.job where c.state = 'open'`,
    )
    const to = Date.now() * 1000
    const memory = { seen: { [step?.name ?? '']: { mark: step?.mark, since: to - 3_600_000_000 } } }
    const evaluate = async () =>
      await jobs(
        { db: world.db, store: null, catalog, memoryOf: () => memory, window: { from: 0, to } } as never,
        { maxWait: '10m', maxStall: '30m' } as never,
      )
    expect((await evaluate())[0]).toMatchObject({ subject: 'jobs', state: 'ok' })
    await world.db.script(`update lockstep.jobs set kind = 'backfill' where state = 'running'`)
    expect((await evaluate())[0]).toMatchObject({
      subject: 'jobs',
      state: 'breach',
      cause: expect.stringContaining('has made no progress for 1 h') as string,
    })
  })
})
