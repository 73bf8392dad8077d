import { jobJson, stepJson } from '../../runtime/jobs/job-json.ts'
import { readJob, readSteps } from '../../runtime/jobs/read-jobs.ts'
import type { Command } from '../command.ts'
import { jobIdOf, jobText } from '../job-text.ts'

const maxSteps = 100

export const jobShowCommand: Command = {
  name: 'job show',
  summary: 'Show a job and its steps',
  description: [`Lists at most ${maxSteps} steps: running ones first, then waiting ones. --json adds the spec of the job.`],
  arguments: [{ name: 'ID', help: 'The id of the job, as "job list" shows it.' }],
  example: 'lockstep job show 7',
  async run(context, input) {
    const db = await context.database()
    const id = jobIdOf(input)
    const [job, steps] = [await readJob(db, id), await readSteps(db, id, maxSteps)]
    return { json: { ...jobJson(job), spec: job.spec, plan: job.plan, steps: steps.map(stepJson) }, text: jobText(job, steps) }
  },
}
