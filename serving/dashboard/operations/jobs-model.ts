import { z } from 'zod'
import type { Catalog } from '../../../registry/catalog.ts'
import { jobKinds } from '../../../runtime/jobs/job-kinds.ts'
import { doingText, stepJson } from '../../../runtime/jobs/job-json.ts'
import type { Job } from '../../../runtime/jobs/read-jobs.ts'
import { jobStates, readJobs, readSteps } from '../../../runtime/jobs/read-jobs.ts'
import type { Link } from '../contract/answer.ts'
import type { JobsData } from '../contract/jobs.ts'
import { jobs as jobsContract } from '../contract/jobs.ts'
import { readModel } from '../read-model.ts'
import { nextCursor, pageSize, paged } from './paged.ts'

export const jobsModel = readModel({
  path: '/jobs',
  scope: 'ui:read',
  query: paged.extend({
    id: z.coerce.number().int().min(1).optional(),
    kind: z.string().max(100).optional(),
    state: z.enum(jobStates).optional(),
    q: z.string().max(200).optional(),
  }),
  data: jobsContract,
  async read({ db, deps, now, isPast, query: { cursor, id, kind, state, q: text } }) {
    const at = new Date(now / 1000)
    const filter = { id, kind, state, text, ...(isPast ? { until: now } : {}) }
    const all = await readJobs(db, { ...filter, limit: pageSize + 1, after: cursor })
    const shown = all.slice(0, pageSize).map((job) => (isPast ? jobAt(job, at) : job))
    const last = shown.at(-1)
    const isOne = id !== undefined && last !== undefined
    const data: JobsData = {
      jobs: shown.map((job) => jobLine(deps.catalog(), job, isPast)),
      kinds: [...jobKinds],
      states: [...jobStates],
      steps: isOne && !isPast ? (await readSteps(db, id)).map(stepJson) : null,
      cursor: last === undefined ? null : nextCursor(all.length, last.id, last.state === 'running'),
    }
    const notes = isPast ? ['Runs that were deleted since are not shown: of monitors and rollouts, only the newest is kept.'] : []
    return { data, notes }
  },
})

function jobLine(catalog: Catalog, job: Job, isPast: boolean): JobsData['jobs'][number] {
  return {
    id: String(job.id),
    kind: job.kind,
    subject: job.subject,
    link: linkOf(catalog, job),
    made: madeBy(catalog, job),
    // by the same rule as the command line; who worked on it then is not kept
    state: job.state === 'running' && job.workers.length === 0 && !isPast ? 'waiting' : job.state,
    chunks: job.chunks === 0 ? null : job.chunks,
    chunksDone: job.chunksDone,
    workers: [...job.workers],
    doing: job.doing === null ? null : doingText(job.doing),
    totals: Object.entries(job.totals).map(([name, total]) => ({ name, total })),
    secondsLeft: job.secondsLeft,
    error: job.error?.message ?? null,
    moment: job.moment === null ? null : new Date(job.moment / 1000).toISOString(),
    submittedBy: job.submittedBy,
    submittedAt: job.submittedAt.toISOString(),
    finishedAt: job.finishedAt?.toISOString() ?? null,
    canCancel: !isPast && job.state === 'running',
    canRetry: !isPast && (job.state === 'failed' || job.state === 'cancelled'),
    revision: jobRevision(job),
  }
}

/** A link to the subject of a job, if it is defined now. */
function linkOf(catalog: Catalog, { kind, subject: id }: Job): Link | null {
  const link = (of: Link['kind'], defined: ReadonlyMap<string, unknown>): Link | null => (defined.has(id) ? { kind: of, id } : null)
  switch (kind) {
    case 'backfill':
    case 'scheduled-run':
      return link('view', catalog.views)
    case 'export':
      return link('service', catalog.services)
    case 'source-sync':
      return link('source', catalog.sources)
    case 'figures':
    case 'baselines':
      return link('model', catalog.models)
    case 'training':
      return link('training', catalog.trainings)
    case 'experiments':
      return link('experiment', catalog.experiments)
    case 'scheduled-batch':
      return link('batch', catalog.batches)
    case 'monitor':
      return link('monitor', catalog.monitors)
    default:
      return null
  }
}

const trainingResult = z.object({ version: z.number() })

/** The model version that a run of a training registered. */
function madeBy({ trainings }: Catalog, { kind, subject, result }: Job): JobsData['jobs'][number]['made'] {
  const model = kind === 'training' ? trainings.get(subject)?.spec.model : undefined
  const made = trainingResult.safeParse(result)
  return model === undefined || !made.success ? null : { model, version: made.data.version }
}

/** Another one once the job has ended, and once an ended one is retried. No earlier one returns. */
export function jobRevision({ state, retries, finishedAt }: Job): string {
  return `${state}.${retries}.${finishedAt?.getTime() ?? 'open'}`
}

/** A job as it was at a moment. Its progress at that moment is not kept. */
export function jobAt(job: Job, at: Date): Job {
  if (job.finishedAt !== null && job.finishedAt <= at) return job
  const unknown = { chunks: 0, chunksDone: 0, totals: {}, workers: [], doing: null, secondsLeft: null, error: null, result: null }
  return { ...job, ...unknown, state: 'running', finishedAt: null }
}
