import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { applyChanges } from '../../registry/changes/apply.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import type { TrainingRunJson } from '../../registry/trainings/read-runs.ts'
import { readTrainingRuns } from '../../registry/trainings/read-runs.ts'
import type { TrainingSpec } from '../../registry/trainings/training-spec.ts'
import { createLogger } from '../../runtime/log.ts'
import type { Doing } from '../../runtime/jobs/job-kind.ts'
import { listenToJobs } from '../../runtime/jobs/job-notices.ts'
import { workOnJobs } from '../../runtime/jobs/work-on-jobs.ts'
import type { TrainingTools } from '../../training/training-job.ts'
import { trainingJobs } from '../../training/training-job.ts'
import { hash, servingSet } from '../serving/definitions.ts'
import type { World } from '../serving/world.ts'
import { createWorld } from '../serving/world.ts'

/** A model that fits the service of "delay", and one that does not. */
const modelFile = (name: string): string => fileURLToPath(new URL(`../serving/fixtures/${name}.onnx`, import.meta.url))
export const fitting = modelFile('logistic')
export const unfit = modelFile('named')

const hour = 3_600_000_000
export const day = 24 * hour

/** 2001-07-09, 05:00. The last instant of the schedule was an hour before. */
export const now = Date.UTC(2001, 6, 9, 5) * 1000
export const instant = now - hour

/** A training of "delay" that trains on three days from July 3 on, and tests on the two after them. */
export const daily: TrainingSpec = {
  name: 'daily',
  model: 'delay',
  spine: { sql: `select airport, at, distance, late from spine where at >= '{from}' and at < '{to}'` },
  label: 'late',
  output: null,
  time: null,
  asOf: 'at',
  windowMicros: 5 * day,
  matureMicros: day,
  testMicros: 2 * day,
  format: 'csv',
  trainer: 'train',
  timeoutMicros: hour,
  parameters: { depth: 6 },
  require: [],
  deploy: 'nothing',
  schedule: '0 4 * * *',
}

export interface TrainingWorld extends World {
  /** The folders of trainers and of training sets. */
  readonly trainers: string
  readonly folder: string
  readonly tools: TrainingTools
  /** The stages that its workers reported. */
  readonly doings: Doing[]
  /** Writes a trainer, as a script of the shell. `$1`, `$2` and `$3` are its files. */
  install(name: string, script: string): Promise<string>
  /** Applies trainings, in place of those before. */
  declare(...trainings: readonly TrainingSpec[]): Promise<void>
  /** Lets a worker keep schedules and work on runs until `until` gives something. */
  workUntil<T>(until: () => Promise<T | null | undefined>, clock?: number, change?: Partial<TrainingTools>): Promise<T>
  /** The newest run of a training once it has ended. */
  ended(training: string): Promise<TrainingRunJson | null>
}

export async function createTrainingWorld(): Promise<TrainingWorld> {
  const world = await createWorld('embedded')
  const own = await mkdtemp(join(tmpdir(), 'lockstep-training-'))
  const [trainers, folder] = [join(own, 'trainers'), join(own, 'sets')]
  await mkdir(trainers)
  await world.db.script(`
    insert into lockstep_source.landings (airport, at, delay)
    select 'A' || n % 7, timestamptz '2001-07-01' + n * interval '1 hour', n % 40 from generate_series(1, 240) n;
    create table spine as
    select 'A' || n % 7 as airport, timestamptz '2001-07-01 00:30' + n * interval '1 hour' as at, 1.0 + n % 5 as distance, n % 3 = 0 as late
    from generate_series(0, 239) n`)
  const tools: TrainingTools = {
    db: world.db,
    catalog: () => loadCatalog(world.db),
    log: createLogger('silent'),
    trainers,
    folder,
    keepSets: 1000,
    allowPrivate: false,
  }

  const doings: Doing[] = []
  return {
    ...world,
    trainers,
    folder,
    tools,
    doings,
    async install(name, script) {
      const path = join(trainers, name)
      await writeFile(path, `#!/bin/sh\n${script}\n`)
      await chmod(path, 0o755)
      return path
    },
    async declare(...trainings) {
      const declared = trainings.map((spec) => ({ spec, operational: {}, fingerprint: hash(JSON.stringify(spec)) }))
      await applyChanges(world.db, { ...servingSet, trainings: declared })
    },
    async workUntil(until, clock = now, change = {}) {
      const stop = new AbortController()
      const options = {
        kinds: [trainingJobs({ ...tools, ...change })],
        worker: 'test',
        idleMs: 200,
        signal: stop.signal,
        clock: () => clock,
        onDoing: (doing: Doing) => doings.push(doing),
      }
      const notices = await listenToJobs(world.db)
      const working = workOnJobs(world.db, options)
      working.catch(() => undefined)
      try {
        for (const deadline = Date.now() + 60_000; ;) {
          const heard = notices.heard()
          const found = await until()
          if (found !== null && found !== undefined) return found
          if (Date.now() > deadline) throw new Error('It did not happen within a minute.')
          await Promise.race([notices.next(heard, 100, stop.signal), working])
        }
      } finally {
        stop.abort()
        await working
        await notices.close()
      }
    },
    async ended(training) {
      const [run] = await readTrainingRuns(world.db, training, 1)
      return run === undefined || run.state === 'running' || run.state === 'waiting' ? null : run
    },
    async close() {
      await world.close()
      await rm(own, { recursive: true, force: true })
    },
  }
}
