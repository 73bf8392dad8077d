import { exportsInParts } from '../../offline/distributed-export/export-in-parts.ts'
import { exportKind } from '../../offline/distributed-export/export-spec.ts'
import { awaitJob } from '../../runtime/jobs/await-job.ts'
import { cancelJob, notRunning } from '../../runtime/jobs/end-job.ts'
import { jobJson } from '../../runtime/jobs/job-json.ts'
import { isSettled, readJob } from '../../runtime/jobs/read-jobs.ts'
import { jobAnswer } from '../../serving/protocols/http/jobs/job-schemas.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command, Outcome } from '../command.ts'
import type { Context } from '../context.ts'
import { jobIdOf } from '../text/job-text.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import type { JobTools } from '../worker-tools.ts'
import { jobTools } from '../worker-tools.ts'

export const jobCancelCommand: Command = {
  name: 'job cancel',
  summary: 'Cancel a job',
  description: [
    'The workers of the job stop within seconds. States that it has written stay; each of them is complete. This process or a worker removes the files of an export.',
  ],
  arguments: [{ name: 'ID', help: 'The id of the job, as "job list" shows it.' }],
  options: { reason: reasonOption, server: serverOption },
  example: 'lockstep job cancel 7 --reason "wrong range"',
  async run(context, input) {
    const [given, by, server] = [jobIdOf(input), actorOf(input), serverOf(context, input)]
    if (server !== null) {
      const answer = await server.ask('POST', `/v1/jobs/${given}/cancel`, { reason: by.reason }, jobAnswer)
      const { requestId: _, steps, ...job } = answer
      return cancelled({ ...job, isClean: steps.every(({ state }) => state !== 'open') })
    }
    const tools = await jobTools(context)
    const { id, kind, state } = await readJob(tools.db, given)
    if (!(await cancelJob(tools.db, id, by))) throw notRunning('job', id, { id, state })
    const isClean = kind !== exportKind || (await cleanUp(context, tools, id))
    return cancelled({ ...jobJson(await readJob(tools.db, id)), isClean })
  },
}

/** @param job whether it is clean: whether its files are removed */
function cancelled(job: { readonly id: number; readonly kind: string; readonly subject: string; readonly isClean: boolean }): Outcome {
  const { id, kind, subject, isClean } = job
  return { json: job, text: `Cancelled ${kind} ${id} of ${subject}.${isClean ? '' : ' A worker still has to remove its files.'}` }
}

/** Removes what an export has left, unless a worker does so. @returns whether it is removed */
async function cleanUp({ signal }: Context, { db, jobs, worker, service }: JobTools, id: number): Promise<boolean> {
  await awaitJob(jobs, id, { signal, work: { kinds: [exportsInParts({ db, find: service })], worker } })
  return await isSettled(db, id)
}
