import { LockstepError } from '../../kernel/errors.ts'
import { cancelJob } from '../../runtime/jobs/end-job.ts'
import { jobJson } from '../../runtime/jobs/job-json.ts'
import { readJob } from '../../runtime/jobs/read-jobs.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { jobIdOf } from '../job-text.ts'

export const jobCancelCommand: Command = {
  name: 'job cancel',
  summary: 'Cancel a job',
  description: [
    'Its workers stop within seconds. States that it has written stay, each of them complete; the files of an export are removed by a worker.',
  ],
  arguments: [{ name: 'ID', help: 'The id of the job, as "job list" shows it.' }],
  options: { reason: reasonOption },
  example: 'lockstep job cancel 7 --reason "wrong range"',
  async run(context, input) {
    const db = await context.database()
    const { id, kind, subject, state } = await readJob(db, jobIdOf(input))
    if (!(await cancelJob(db, id, actorOf(input)))) {
      throw new LockstepError('INVALID_REQUEST', `The job "${id}" is ${state}; only a job that runs can be cancelled.`, {
        details: { id, state },
      })
    }
    return { json: jobJson(await readJob(db, id)), text: `Cancelled ${kind} ${id} of ${subject}.` }
  },
}
