import { randomUUID } from 'node:crypto'
import { LockstepError } from '../kernel/errors.ts'
import { settledNow } from '../offline/rows/stream-bounds.ts'
import type { Catalog } from '../registry/catalog.ts'
import type { TrainingPlan, TrainingResult, TrainingRunSpec } from '../registry/trainings/training-run.ts'
import { trainingRuns } from '../registry/trainings/training-run.ts'
import type { Database } from '../runtime/postgres/database.ts'
import type { Logger } from '../runtime/log.ts'
import type { JobKind, RunningJob } from '../runtime/jobs/job-kind.ts'
import type { DeployOptions } from './deploy-version.ts'
import { deployVersion } from './deploy-version.ts'
import { forgetSets } from './forget-sets.ts'
import { reportPart, trainVersion } from './train-version.ts'
import { installedTrainers } from './trainers.ts'

export interface TrainingTools extends DeployOptions {
  readonly db: Database
  catalog(): Promise<Catalog>
  readonly log: Logger
  /** The folder of the programs that this process may run; null: it runs none. */
  readonly trainers: string | null
  /** The folder of training sets. */
  readonly folder: string
  /** How many training sets of a training are kept beside those of model versions. */
  readonly keepSets: number
}

export type TrainingJob = RunningJob<TrainingRunSpec, TrainingPlan>

/**
 * Runs of trainings as jobs. Each has one chunk, as a trainer is one program. Only processes that have its trainer
 * claim a run: the scope of a job is the name of its trainer.
 *
 *     plan: the interval, the rows that have arrived -> chunk: training set, trainer, decision, version -> finish:
 *     deploy
 */
export function trainingJobs(tools: TrainingTools): JobKind<TrainingRunSpec, TrainingPlan, null, TrainingResult> {
  const { db, catalog, trainers } = tools
  return {
    ...trainingRuns,
    retries: 2,
    backoffSeconds: { from: 10, to: 600 },
    scopes: () => installedTrainers(trainers),
    async schedules() {
      const { trainings } = await catalog()
      return [...trainings.values()].flatMap(({ spec }) =>
        spec.schedule === null
          ? []
          : [{ key: spec.name, subject: spec.name, scope: spec.trainer, cron: spec.schedule, spec: { training: spec } }],
      )
    },
    async plan({ spec: { training }, moment }, { signal }) {
      const to = (moment ?? Date.now() * 1000) - training.matureMicros
      const plan: TrainingPlan = {
        dataset: randomUUID(),
        createdAt: new Date().toISOString(),
        from: to - training.windowMicros,
        split: to - training.testMicros,
        to,
        arrivedBefore: await settledNow(db, signal),
      }
      return { plan, chunks: [null] }
    },
    async run(job, _chunk, step) {
      await forgetSets(tools, job)
      return await trainVersion(tools, job, step)
    },
    async finish(job, [result], step) {
      if (result === undefined) throw new LockstepError('INTERNAL', `The run ${job.id} of a training has no result.`)
      reportPart(step, 'deployment')
      return { ...result, deployed: await deployVersion(tools, job, result, step.signal) }
    },
    describe: ({ id, subject }, { step }) =>
      step === 'chunk' ? `the training "${subject}" (job ${id})` : `the ${step} of the training "${subject}" (job ${id})`,
  }
}
