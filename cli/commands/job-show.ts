import { jobJson, stepJson } from '../../runtime/jobs/job-json.ts'
import { readJob, readSteps } from '../../runtime/jobs/read-jobs.ts'
import { jobAnswer } from '../../serving/protocols/http/jobs/job-schemas.ts'
import type { Command } from '../command.ts'
import { jobIdOf, jobText } from '../text/job-text.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

const maxSteps = 100

export const jobShowCommand: Command = {
  name: 'job show',
  summary: 'Show a job and its steps',
  description: [
    `Lists at most ${maxSteps} steps: running ones first, then waiting ones. --json adds the spec of the job, but not through a server.`,
  ],
  arguments: [{ name: 'ID', help: 'The id of the job, as "job list" shows it.' }],
  options: { server: serverOption },
  example: 'lockstep job show 7',
  async run(context, input) {
    const [id, server] = [jobIdOf(input), serverOf(context, input)]
    if (server !== null) {
      const { requestId: _, ...job } = await server.ask('GET', `/v1/jobs/${id}`, undefined, jobAnswer)
      return { json: job, text: jobText(job, job.steps) }
    }
    const db = await context.database()
    const [job, steps] = [await readJob(db, id), (await readSteps(db, id, maxSteps)).map(stepJson)]
    const shown = jobJson(job)
    return { json: { ...shown, spec: job.spec, plan: job.plan, steps }, text: jobText(shown, steps) }
  },
}
