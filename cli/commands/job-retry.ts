import { retryJob } from '../../runtime/jobs/end-job.ts'
import { jobJson } from '../../runtime/jobs/job-json.ts'
import { readJob } from '../../runtime/jobs/read-jobs.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { jobIdOf } from '../job-text.ts'

export const jobRetryCommand: Command = {
  name: 'job retry',
  summary: 'Retry a job that failed or was cancelled',
  description: ['Workers plan the job again and run all of its chunks. The command does not wait; use "job watch".'],
  arguments: [{ name: 'ID', help: 'The id of the job, as "job list" shows it.' }],
  options: { reason: reasonOption },
  example: 'lockstep job retry 7',
  async run(context, input) {
    const db = await context.database()
    const id = jobIdOf(input)
    await retryJob(db, id, actorOf(input))
    const job = await readJob(db, id)
    return { json: jobJson(job), text: `The ${job.kind} ${id} of ${job.subject} runs again; workers continue with it.` }
  },
}
