import { loadCatalog } from '../../registry/catalog.ts'
import type { FaultPoint } from '../../runtime/fault-point.ts'
import { armFaultPoint } from '../../runtime/fault-point.ts'
import { workOnJobs } from '../../runtime/jobs/work-on-jobs.ts'
import { createLogger } from '../../runtime/log.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { trainingJobs } from '../../training/training-job.ts'

/** For tests that kill it: a worker of trainings, which dies at a point if one is named. */
const [url = '', trainers = '', folder = '', point] = process.argv.slice(2)
if (point !== undefined) armFaultPoint(point as FaultPoint) // the test names one
const db = openPostgres(url)
const kind = trainingJobs({
  db,
  catalog: () => loadCatalog(db),
  log: createLogger('silent'),
  trainers,
  folder,
  keepSets: 1000,
  allowPrivate: false,
})
await workOnJobs(db, { kinds: [kind], worker: 'killed', signal: new AbortController().signal, clock: () => 0 })
