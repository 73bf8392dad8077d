import { controlRollouts } from '../../../monitoring/rollouts/controller.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import type { FaultPoint } from '../../../runtime/fault-point.ts'
import { armFaultPoint } from '../../../runtime/fault-point.ts'
import { workOnJobs } from '../../../runtime/jobs/work-on-jobs.ts'
import { openPostgres } from '../../../runtime/postgres/open-postgres.ts'

/** For tests that kill it: controls rollouts, and dies at a fault point. */
const [url = '', point, minutesAhead] = process.argv.slice(2)
const db = openPostgres(url)
const kind = controlRollouts({
  db,
  store: async () => null,
  catalog: () => loadCatalog(db),
  readSecret: () => null,
  allowPrivate: true,
  clock: () => Date.now() * 1000,
})
armFaultPoint(point as FaultPoint) // the test passes one
await workOnJobs(db, {
  kinds: [kind],
  worker: 'killed',
  signal: new AbortController().signal,
  clock: () => Date.now() * 1000 + Number(minutesAhead) * 60_000_000,
})
