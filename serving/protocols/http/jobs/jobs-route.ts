import { z } from 'zod'
import { cancelJob, noJob, notRunning, retryJob } from '../../../../runtime/jobs/end-job.ts'
import { jobJson, stepJson } from '../../../../runtime/jobs/job-json.ts'
import { maxListedJobs, readJob, readJobs, readSteps } from '../../../../runtime/jobs/read-jobs.ts'
import type { ServingContext } from '../../../context.ts'
import { reasonBody } from '../request/change-schemas.ts'
import type { Call, RouteAnswer } from '../call.ts'
import { actorOf, idInPath, jsonAnswer } from '../call.ts'
import { jobAnswer, jobsAnswer, jobState } from './job-schemas.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'

const jobsQuery = z.object({
  kind: z.string().optional().describe('Only jobs of this kind, such as backfill'),
  state: jobState.optional().describe('Only jobs in this state'),
  subject: z.string().optional().describe('Only jobs about this view or service, such as airport_delays@1'),
  limit: z.coerce.number().int().min(1).max(maxListedJobs).optional().describe('The maximum number. Default: 100'),
})

/** Jobs of all kinds: what shows, cancels and retries them. */
export const jobRoutes: readonly Route[] = [
  checkedRoute({
    method: 'GET',
    path: '/v1/jobs',
    scope: 'read',
    summary: 'The newest jobs, running ones first',
    tag: 'Jobs',
    query: jobsQuery,
    answer: jobsAnswer,
    async handle(call, deps, { query }) {
      const jobs = await readJobs(deps.upkeep.database(), query)
      return jsonAnswer(call, { jobs: jobs.map(jobJson) })
    },
  }),
  {
    method: 'GET',
    path: '/v1/jobs/:id',
    scope: 'read',
    summary: 'One job and its steps',
    tag: 'Jobs',
    answer: jobAnswer,
    handle: (call, deps) => answerJob(call, deps, idInPath(call, noJob)),
  },
  checkedRoute({
    method: 'POST',
    path: '/v1/jobs/:id/cancel',
    scope: 'admin',
    summary: 'Cancel a job',
    tag: 'Jobs',
    body: reasonBody,
    bodyOptional: true,
    example: { reason: 'begun by mistake' },
    answer: jobAnswer,
    async handle(call, deps, { body }) {
      const [id, db] = [idInPath(call, noJob), deps.upkeep.database()]
      const { state } = await readJob(db, id)
      if (!(await cancelJob(db, id, actorOf(call, body.reason)))) throw notRunning('job', id, { id, state })
      return await answerJob(call, deps, id)
    },
  }),
  checkedRoute({
    method: 'POST',
    path: '/v1/jobs/:id/retry',
    scope: 'admin',
    summary: 'Retry a job that failed or was cancelled',
    tag: 'Jobs',
    body: reasonBody,
    bodyOptional: true,
    example: { reason: 'the disk has room again' },
    status: 202,
    answer: jobAnswer,
    async handle(call, deps, { body }) {
      const id = idInPath(call, noJob)
      await retryJob(deps.upkeep.database(), id, actorOf(call, body.reason))
      return await answerJob(call, deps, id, 202)
    },
  }),
]

async function answerJob(call: Call, deps: ServingContext, id: number, status?: 202): Promise<RouteAnswer> {
  const db = deps.upkeep.database()
  const [job, steps] = [await readJob(db, id), await readSteps(db, id)]
  return jsonAnswer(call, { ...jobJson(job), steps: steps.map(stepJson) }, status)
}
