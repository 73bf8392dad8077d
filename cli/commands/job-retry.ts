import { retryJob } from '../../runtime/jobs/end-job.ts'
import { jobJson } from '../../runtime/jobs/job-json.ts'
import { readJob } from '../../runtime/jobs/read-jobs.ts'
import { actorOf, reasonOption } from '../actor.ts'
import { jobAnswer } from '../../serving/protocols/http/jobs/job-schemas.ts'
import type { Command } from '../command.ts'
import { jobIdOf } from '../text/job-text.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

export const jobRetryCommand: Command = {
  name: 'job retry',
  summary: 'Retry a job that failed or was cancelled',
  description: ['Workers plan the job again and run all of its chunks. The command does not wait; use "job watch".'],
  arguments: [{ name: 'ID', help: 'The id of the job, as "job list" shows it.' }],
  options: { reason: reasonOption, server: serverOption },
  example: 'lockstep job retry 7',
  async run(context, input) {
    const [id, by, server] = [jobIdOf(input), actorOf(input), serverOf(context, input)]
    const text = (kind: string, subject: string): string => `The ${kind} ${id} of ${subject} runs again; workers continue with it.`
    if (server !== null) {
      const { requestId: _, steps: __, ...job } = await server.ask('POST', `/v1/jobs/${id}/retry`, { reason: by.reason }, jobAnswer)
      return { json: job, text: text(job.kind, job.subject) }
    }
    const db = await context.database()
    await retryJob(db, id, by)
    const job = await readJob(db, id)
    return { json: jobJson(job), text: text(job.kind, job.subject) }
  },
}
