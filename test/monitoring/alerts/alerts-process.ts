import { monitoringKinds } from '../../../monitoring/alerts/evaluate-monitors.ts'
import { loadCatalog } from '../../../registry/catalog.ts'
import type { FaultPoint } from '../../../runtime/fault-point.ts'
import { armFaultPoint } from '../../../runtime/fault-point.ts'
import { workOnJobs } from '../../../runtime/jobs/work-on-jobs.ts'
import { openPostgres } from '../../../runtime/postgres/open-postgres.ts'
import { hookAt, readSecret, clockMonitor } from './monitors.ts'

/** For tests that kill it: evaluates a monitor whose clock is wrong, and dies at a fault point. */
const [url = '', receiver = '', name = '', point] = process.argv.slice(2)
const db = openPostgres(url)
const catalog = await loadCatalog(db)
const kinds = monitoringKinds({
  db,
  store: async () => null,
  catalog: async () => catalog,
  active: () => ({ monitors: [clockMonitor(name)], channels: hookAt(receiver) }),
  readSecret,
  allowPrivate: true,
  publicUrl: null,
  clock: () => Date.now() * 1000 + 60_000_000,
  worker: 'killed',
})
armFaultPoint(point as FaultPoint) // the test passes one
await workOnJobs(db, {
  kinds,
  worker: 'killed',
  signal: new AbortController().signal,
})
