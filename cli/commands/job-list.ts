import { jobJson } from '../../runtime/jobs/job-json.ts'
import { maxListedJobs, readJobs } from '../../runtime/jobs/read-jobs.ts'
import { jobsAnswer } from '../../serving/protocols/http/jobs/job-schemas.ts'
import type { Command } from '../command.ts'
import { jobTable } from '../text/job-text.ts'
import { queryOf } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

const states = ['running', 'done', 'failed', 'cancelled'] as const

export const jobListCommand: Command = {
  name: 'job list',
  summary: 'List jobs, running ones first',
  description: [
    'Jobs are the work that workers share: backfills, exports, batches, syncs of Parquet files, scheduled runs, monitors, alerts, housekeeping and baselines.',
  ],
  options: {
    kind: { value: 'KIND', help: 'Only jobs of this kind, such as "backfill" or "export".' },
    state: { value: 'STATE', choices: states, help: 'Only jobs that are "running", "done", "failed" or "cancelled".' },
    about: { value: 'NAME', help: 'Only jobs of this view or service, such as airport_delays@1.' },
    limit: { value: 'N', help: 'The maximum number, newest first. Default: 100.' },
    server: serverOption,
  },
  example: 'lockstep job list --state running',
  async run(context, input) {
    const filter = {
      kind: input.text('kind'),
      state: input.choice('state', states),
      subject: input.text('about'),
      limit: input.count('limit', 1, maxListedJobs),
    }
    const isFiltered = filter.kind !== undefined || filter.state !== undefined || filter.subject !== undefined
    const server = serverOf(context, input)
    const jobs =
      server === null
        ? (await readJobs(await context.database(), filter)).map(jobJson)
        : (await server.ask('GET', `/v1/jobs${queryOf(filter)}`, undefined, jobsAnswer)).jobs
    return { json: { jobs }, text: jobs.length === 0 ? (isFiltered ? 'There are no such jobs.' : 'There is no job yet.') : jobTable(jobs) }
  },
}
