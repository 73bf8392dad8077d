import { z } from 'zod'
import { parseTimestamp } from '../../../../kernel/values/time.ts'
import { beginTraining } from '../../../../registry/trainings/begin-run.ts'
import { listTrainings, nextInstant, readTrainingRuns, runJson } from '../../../../registry/trainings/read-runs.ts'
import { trainingParts } from '../../../../registry/trainings/training-run.ts'
import { processName } from '../../../../runtime/process-name.ts'
import { momentSchema } from '../../../features/request-schema.ts'
import { actorOf, jsonAnswer, nameInPath } from '../call.ts'
import { reasonSchema } from '../request/change-schemas.ts'
import { asRefusal } from '../response/refusal.ts'
import { requestId } from '../response/response-schemas.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'
import { doing } from './job-schemas.ts'

/** The maximum number of runs in an answer. */
export const maxListedRuns = 100
const time = z.string().nullable()

const limit = z.number().nullable()
const measured = z.object({
  value: z.number().describe('Its value'),
  low: limit.describe('The lower limit of its 95 % interval'),
  high: limit.describe('The upper limit'),
})

const runFields = {
  job: z.int().describe('The job that does it: GET /v1/jobs/{job}'),
  training: z.string().describe('The training'),
  model: z.string().describe('The model'),
  trainer: z.string().describe('The program in the folder of trainers'),
  state: z.enum(['waiting', 'running', 'done', 'failed', 'cancelled']).describe('How far it is. waiting: no worker has it now'),
  doing: doing.describe(`Of a run that runs, what its worker is at: ${trainingParts.join(', ')}`),
  outcome: z
    .enum(['registered', 'refused'])
    .nullable()
    .describe('refused: the version does not meet a requirement, so it is not registered. null: it has not come so far'),
  at: time.describe('The instant of the run, RFC 3339'),
  from: time.describe('The first time of the rows to train on'),
  split: time.describe('The first time of the rows to test on'),
  to: time.describe('The end of the rows to test on'),
  dataset: z.string().nullable().describe('The id of its training set'),
  rows: z
    .object({ train: z.int().describe('To train on'), test: z.int().describe('To test on') })
    .nullable()
    .describe('How many rows'),
  version: z.int().nullable().describe('The version that it registered'),
  known: z.boolean().describe('Whether an earlier run had registered the same file'),
  metrics: z.record(z.string(), z.number()).describe('The metrics of the version'),
  parameters: z.record(z.string(), z.unknown()).describe('What the trainer was given, and what it reported'),
  evaluation: z
    .object({
      output: z.string().nullable().describe('The output that was compared with the label; null: none could be'),
      rows: z.int().describe('The test rows'),
      candidate: z.record(z.string(), measured).describe('The figures of the version, by name'),
      champion: z.int().nullable().describe('The version of the champion; null: there was none'),
      championFigures: z.record(z.string(), measured).describe('Its figures on the same rows'),
      differences: z.record(z.string(), measured).describe('Those of the version minus those of the champion'),
      notes: z.array(z.string()).describe('Why figures are missing, and what limits them'),
    })
    .nullable()
    .describe('How the version and the champion do on the test rows'),
  decisions: z
    .array(z.object({ holds: z.boolean().describe('Whether the version meets it'), text: z.string().describe('In words') }))
    .describe('By requirement'),
  deployed: z.string().nullable().describe('What became of the version, in words'),
  seconds: z
    .object({ dataset: z.number().describe('For the training set'), trainer: z.number().describe('For the trainer') })
    .nullable()
    .describe('How long it took'),
  error: z
    .object({ code: z.string().describe('Its code'), message: z.string().describe('The failure, and what to do') })
    .nullable()
    .describe('Why it failed; of a run that waits, why its last attempt did'),
  log: z.string().describe('The end of what the trainer wrote'),
  workers: z.array(z.string()).describe('Who works on it'),
  submittedBy: z.string().describe('Who began it'),
  submittedAt: z.string().describe('When it began, RFC 3339'),
  finishedAt: time.describe('When it ended, RFC 3339'),
}
const run = z.object(runFields)

export const trainingsAnswer = z.object({
  trainings: z.array(
    z.object({
      name: z.string().describe('Its name'),
      model: z.string().describe('The model'),
      trainer: z.string().describe('The program in the folder of trainers'),
      schedule: z.string().nullable().describe('Five fields of cron, in UTC; null: it runs when asked to'),
      next: time.describe('Its next instant, RFC 3339'),
      description: z.string().nullable().describe('What it is for'),
      last: run.nullable().describe('Its newest run; null: it has not run'),
    }),
  ),
  requestId,
})
export const trainingAnswer = z.object({
  name: z.string().describe('Its name'),
  next: time.describe('Its next instant, RFC 3339; null: it has no schedule'),
  definition: z.record(z.string(), z.unknown()).describe('The definition, as it is stored'),
  runs: z.array(run).describe('Its runs, newest first'),
  requestId,
})
export const beginRunAnswer = z.object({
  ...runFields,
  joined: z.boolean().describe('Whether the run was under way or done before'),
  requestId,
})

const listQuery = z.object({
  limit: z.coerce.number().int().min(1).max(maxListedRuns).optional().describe('The maximum number of runs. Default: 10'),
})

const body = z.strictObject({
  at: momentSchema
    .optional()
    .describe('The instant of the run, from which its rows are counted back. Default: now, or that of the run under way'),
  reason: reasonSchema,
})

/** Trainings and their runs. Workers that have the trainer do the work. `/v1/jobs` cancels and retries a run. */
export const trainingRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/trainings',
    scope: 'read',
    summary: 'All trainings, each with its newest run',
    tag: 'Trainings',
    answer: trainingsAnswer,
    async handle(call, deps) {
      const trainings = await listTrainings(deps.upkeep.database(), deps.catalog(), Date.now() * 1000)
      return jsonAnswer(call, { trainings })
    },
  },
  checkedRoute({
    method: 'GET',
    path: '/v1/trainings/:name',
    scope: 'read',
    summary: 'One training: its definition and its runs',
    tag: 'Trainings',
    query: listQuery,
    answer: trainingAnswer,
    async handle(call, deps, { query }) {
      const { spec } = deps.catalog().training(nameInPath(call))
      const runs = await readTrainingRuns(deps.upkeep.database(), spec.name, query.limit)
      const next = nextInstant(spec, Date.now() * 1000)
      return jsonAnswer(call, { name: spec.name, next, definition: spec, runs })
    },
  }),
  checkedRoute({
    method: 'POST',
    path: '/v1/trainings/:name/runs',
    scope: 'admin',
    summary: 'Begin a run of a training, or join the one of the same instant',
    description:
      'Workers do it that have the trainer in their folder `LOCKSTEP_TRAINERS`. A run of the same instant that failed or was cancelled is retried.',
    tag: 'Trainings',
    body,
    bodyOptional: true,
    example: { reason: 'new labels came' },
    status: 202,
    answer: beginRunAnswer,
    async handle(call, deps, { body: { at, reason } }) {
      const [db, catalog] = [deps.upkeep.database(), deps.catalog()]
      const beginner = { db, catalog, worker: processName(), by: actorOf(call, reason) }
      const begun = await asRefusal(() => beginTraining(beginner, nameInPath(call), at === undefined ? null : parseTimestamp(at)))
      return jsonAnswer(call, { ...(await runJson(db, begun.job)), joined: begun.joined }, 202)
    },
  }),
]
