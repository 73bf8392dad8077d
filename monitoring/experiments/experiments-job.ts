import { z } from 'zod'
import { readExperimentRuns } from '../../registry/experiments/experiment.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { JobKind } from '../../runtime/jobs/job-kind.ts'
import type { JobKindName } from '../../runtime/jobs/job-kinds.ts'
import { analyzeRun } from './analyze-run.ts'
import type { UnitsCatalog } from './plan-units.ts'

const experimentsJob = z.object({ run: z.int() })

/**
 * SQL that says whether a stopped run `e` still has units that are not mature: the last ones mature one window, and the
 * time of their outcomes, after its stop.
 */
export const isMaturingSql = `(e.stopped_at + interval '2 hours' + (
    (SELECT max((m->>'withinMicros')::float8) FROM json_array_elements(e.spec->'metrics') m) + coalesce((
      SELECT max((o.spec->>'withinMicros')::float8) FROM lockstep.definitions o WHERE o.kind = 'outcome' AND o.spec->>'model' = e.model
    ), 0)
  ) * interval '1 microsecond' > now())`

/** The runs that are analyzed. */
const dueSql = `SELECT id::text AS id, name FROM lockstep.experiments e
  WHERE state = 'running' OR exposures_deleted_at IS NULL AND ${isMaturingSql} ORDER BY e.id`

/** Analyzes each experiment once an hour: while it runs, and then until all of its units are mature. */
export function experimentsJobs({
  db,
  catalog,
  clock,
}: {
  readonly db: Database
  readonly catalog: () => Promise<UnitsCatalog>
  readonly clock: () => number
}): JobKind<z.output<typeof experimentsJob>> {
  return {
    name: 'experiments' satisfies JobKindName,
    spec: experimentsJob,
    retries: 3,
    backoffSeconds: { from: 10, to: 300 },
    leaseSeconds: 60,
    keepDays: 7,
    async schedules() {
      const due = await db.query<{ id: string; name: string }>(dueSql, [], { prepared: true })
      return due.map(({ id, name }) => ({ key: id, subject: name, cron: '7 * * * *', spec: { run: Number(id) } }))
    },
    async run({ spec, moment }, _chunk, { signal, progress }) {
      const run = (await readExperimentRuns(db.kysely)).find(({ id }) => id === spec.run)
      if (run === undefined) return null
      const asOf = Math.floor((moment ?? clock()) / 1000) * 1000
      // the newest instant of the schedule may be before the start
      if (asOf < run.startedAt.getTime() * 1000) return null
      const result = await analyzeRun(db, await catalog(), run, asOf, { signal, onUnits: progress })
      return { units: result.progress.units }
    },
    describe: ({ subject }) => `the analysis of the experiment "${subject}"`,
  }
}
