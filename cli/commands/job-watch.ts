import { jobFailure } from '../../runtime/jobs/await-job.ts'
import { jobJson } from '../../runtime/jobs/job-json.ts'
import { readJob } from '../../runtime/jobs/read-jobs.ts'
import type { Command } from '../command.ts'
import { counted } from '../human.ts'
import { jobIdOf } from '../job-text.ts'
import { watchJob } from '../watch-job.ts'
import { jobTools } from '../worker-tools.ts'

export const jobWatchCommand: Command = {
  name: 'job watch',
  summary: 'Show the progress of a job until it ends',
  description: ['Only shows: workers do the work. Exits with 0 if the job is done, and with 1 if it failed or was cancelled.'],
  arguments: [{ name: 'ID', help: 'The id of the job, as "job list" shows it.' }],
  streams: true,
  example: 'lockstep job watch 7',
  async run(context, input) {
    const tools = await jobTools(context)
    const { id, kind, subject } = await readJob(tools.db, jobIdOf(input))
    const job = await watchJob(context, tools, id, { label: `${kind} ${id} of ${subject}`, kinds: null })
    const failure = jobFailure(job)
    if (failure !== null) throw failure
    return { json: jobJson(job), text: `The ${kind} ${id} of ${subject} is done, in ${counted(job.chunks, 'chunk')}.` }
  },
}
