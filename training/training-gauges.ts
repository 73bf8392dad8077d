import type { Registry } from 'prom-client'
import { Gauge } from 'prom-client'
import { sql } from 'kysely'
import type { Catalog } from '../registry/catalog.ts'
import { readPunctuality } from '../registry/trainings/late-trainings.ts'
import { trainingKind } from '../registry/trainings/training-spec.ts'
import type { Database } from '../runtime/postgres/database.ts'

type Handle = Pick<Database, 'kysely'>

interface RunCount {
  readonly training: string
  readonly outcome: string
  readonly runs: number
  /** Epoch seconds. */
  readonly newest: number
}

interface GaugeSources {
  database(): Promise<Handle>
  catalog(): Promise<Pick<Catalog, 'trainings'>>
}

/** Reports the runs of trainings with each scrape: none while the database does not answer. */
export function registerTrainingGauges(registry: Registry, { database, catalog }: GaugeSources): void {
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
  registry.registerMetric(
    new Gauge({
      name: 'lockstep_training_late',
      help: 'Of a training with a schedule, whether two of its instants have passed since a run registered a version: 0 or 1.',
      labelNames: ['training'],
      registers: [],
      async collect() {
        const read = async () => await readPunctuality(await database(), await catalog(), Date.now() * 1000)
        const found = await read().catch(() => [])
        this.reset()
        for (const { training, lateSince } of found) this.set({ training }, lateSince === null ? 0 : 1)
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
