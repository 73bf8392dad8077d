import { openPostgres } from '../../../runtime/postgres/open-postgres.ts'
import { submitJob } from '../../../runtime/jobs/submit-job.ts'
import { workOnJobs } from '../../../runtime/jobs/work-on-jobs.ts'
import { numbers } from './number-kind.ts'

/** For tests that kill it: submits a job, or works on chunks that do not end. Reports its progress. */
const [url = '', role] = process.argv.slice(2)
const db = openPostgres(url)
const forever = new Promise<never>(() => setInterval(() => undefined, 60_000))

if (role === 'submit') {
  const submitted = await submitJob(db, numbers, { spec: { upTo: 3 }, subject: 'submitted', worker: 'killed' })
  process.stdout.write(`submitted ${submitted?.id}\n`)
  await forever
}
const stuck: typeof numbers = {
  ...numbers,
  run(_job, n) {
    process.stdout.write(`at chunk ${n}\n`)
    return forever
  },
}
await workOnJobs(db, { kinds: [stuck], worker: 'killed', signal: new AbortController().signal })
