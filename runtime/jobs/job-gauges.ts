import type { Registry } from 'prom-client'
import { Gauge } from 'prom-client'
import { sql } from 'kysely'
import { cacheFor } from '../cache-for.ts'
import type { Database } from '../postgres/database.ts'

interface KindCount {
  readonly kind: string
  readonly running: number
  readonly waiting: number
  readonly failed: number
  readonly oldest: number
}

/** Reports the jobs of the complete database with each scrape: none while the database does not answer. */
export function registerJobGauges(registry: Registry, database: () => Promise<Pick<Database, 'kysely'>>): void {
  // a scrape asks both gauges before one of them is read
  const count = cacheFor(0, () =>
    database()
      .then(readCounts)
      .catch(() => []),
  )
  registry.registerMetric(
    new Gauge({
      name: 'lockstep_jobs',
      help: 'Jobs in the database, by kind and state: running (a worker works on it), waiting (for a worker), failed (in the history).',
      labelNames: ['kind', 'state'],
      registers: [],
      async collect() {
        const kinds = await count()
        this.reset()
        for (const each of kinds)
          for (const state of ['running', 'waiting', 'failed'] as const) this.set({ kind: each.kind, state }, each[state])
      },
    }),
  )
  registry.registerMetric(
    new Gauge({
      name: 'lockstep_jobs_oldest_waiting_seconds',
      help: 'How long the oldest step has been waiting for a worker, by kind of job.',
      labelNames: ['kind'],
      registers: [],
      async collect() {
        const kinds = await count()
        this.reset()
        for (const { kind, oldest } of kinds) this.set({ kind }, oldest)
      },
    }),
  )
}

async function readCounts({ kysely }: Pick<Database, 'kysely'>): Promise<KindCount[]> {
  const { rows } = await sql<KindCount>`
    with recursive kinds as (
      (select kind from lockstep.jobs order by kind limit 1) union all
      select next.kind from kinds k, lateral (select kind from lockstep.jobs j where j.kind > k.kind order by kind limit 1) next
    ), steps as (
      select job, bool_or(claim is not null and claimable_at > clock_timestamp()) as held,
        max(extract(epoch from clock_timestamp() - claimable_at)) filter (where claimable_at <= clock_timestamp()) as waits
      from lockstep.job_chunks where state = 'open' group by job
    ), unfinished as (
      select kind, count(*) filter (where state = 'running' and held)::int as running,
        count(*) filter (where state = 'running' and held is not true)::int as waiting, max(waits) as waits
      from lockstep.jobs left join steps on job = id
      -- the steps of a job that has ended clean up after it
      where id in (select id from lockstep.jobs where state = 'running' union all select job from steps) group by kind
    ), failures as (
      select kind, count(*)::int as failed from lockstep.jobs where state = 'failed' group by kind
    )
    select kind, coalesce(running, 0) as running, coalesce(waiting, 0) as waiting, coalesce(failed, 0) as failed,
      coalesce(waits, 0)::float8 as oldest
    from kinds left join unfinished using (kind) left join failures using (kind)`.execute(kysely)
  return rows
}
