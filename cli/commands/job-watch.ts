import { jobFailure } from '../../runtime/jobs/await-job.ts'
import { jobJson } from '../../runtime/jobs/job-json.ts'
import type { Job } from '../../runtime/jobs/read-jobs.ts'
import { readJob } from '../../runtime/jobs/read-jobs.ts'
import { jobAnswer } from '../../serving/protocols/http/jobs/job-schemas.ts'
import type { Command } from '../command.ts'
import { counted } from '../text/human.ts'
import { jobIdOf } from '../text/job-text.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { watchServerJob } from '../remote/watch-server-job.ts'
import { watchJob } from '../watch-job.ts'
import { jobTools } from '../worker-tools.ts'

export const jobWatchCommand: Command = {
  name: 'job watch',
  summary: 'Show the progress of a job until it ends',
  description: [
    'Workers do the work; this command only shows it. Exits with 0 if the job is done, and with 1 if it failed or was cancelled.',
  ],
  arguments: [{ name: 'ID', help: 'The id of the job, as "job list" shows it.' }],
  options: { server: serverOption },
  streams: true,
  example: 'lockstep job watch 7',
  async run(context, input) {
    const [id, server] = [jobIdOf(input), serverOf(context, input)]
    if (server !== null) {
      const { kind, subject } = await server.ask('GET', `/v1/jobs/${id}`, undefined, jobAnswer)
      const watched = await watchServerJob(context, server, id, { label: `${kind} ${id} of ${subject}`, work: `work on the ${kind}` })
      const { requestId: _, steps: __, ...job } = watched
      return { json: job, text: doneText(job) }
    }
    const tools = await jobTools(context)
    const { kind, subject } = await readJob(tools.db, id)
    const job = await watchJob(context, tools, id, { label: `${kind} ${id} of ${subject}`, kinds: null })
    const failure = jobFailure(job)
    if (failure !== null) throw failure
    return { json: jobJson(job), text: doneText(job) }
  },
}

function doneText({ id, kind, subject, chunks }: Pick<Job, 'id' | 'kind' | 'subject' | 'chunks'>): string {
  return `The ${kind} ${id} of ${subject} is done, in ${counted(chunks, 'chunk')}.`
}
