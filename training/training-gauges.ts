import type { Registry } from 'prom-client'
import { Gauge } from 'prom-client'
import { sql } from 'kysely'
import { trainingKind } from '../registry/trainings/training-spec.ts'
import type { Database } from '../runtime/database.ts'

type Handle = Pick<Database, 'kysely'>

interface RunCount {
  readonly training: string
  readonly outcome: string
  readonly runs: number
  /** Epoch seconds. */
  readonly newest: number
}

/** Reports the runs of trainings with each scrape: none while the database does not answer. */
export function registerTrainingGauges(registry: Registry, database: () => Promise<Handle>): void {
  const read = async (): Promise<RunCount[]> =>
    await database()
      .then(readCounts)
      .catch(() => [])
  registry.registerMetric(
    new Gauge({
      name: 'lockstep_training_runs',
      help: 'Runs of trainings in the history that have ended, by outcome: registered, refused, failed or cancelled.',
      labelNames: ['training', 'outcome'],
      registers: [],
      async collect() {
        const counts = await read()
        this.reset()
        for (const { training, outcome, runs } of counts) this.set({ training, outcome }, runs)
      },
    }),
  )
  registry.registerMetric(
    new Gauge({
      name: 'lockstep_training_last_success_timestamp_seconds',
      help: 'When the newest run of a training ended that registered a version, epoch seconds.',
      labelNames: ['training'],
      registers: [],
      async collect() {
        const counts = await read()
        this.reset()
        for (const { training, outcome, newest } of counts) if (outcome === 'registered') this.set({ training }, newest)
      },
    }),
  )
}

async function readCounts({ kysely }: Handle): Promise<RunCount[]> {
  const { rows } = await sql<RunCount>`
    select subject as training, outcome, count(*)::int as runs, extract(epoch from max(finished_at))::float8 as newest
    from (
      select subject, finished_at, case state when 'done' then result ->> 'outcome' else state end as outcome
      from lockstep.jobs where kind = ${trainingKind} and state <> 'running'
    ) run
    where outcome is not null group by subject, outcome order by subject, outcome`.execute(kysely)
  return rows
}
