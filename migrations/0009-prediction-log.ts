import { type Kysely, sql } from 'kysely'

/**
 * The prediction log: one row for each entity of a logged request, with inputs and outputs. The servers make a
 * partition for each day (UTC).
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.prediction_log (
      at timestamptz not null,
      request_id text not null,
      entity integer not null,
      model text not null,
      version integer not null,
      service text not null,
      service_fingerprint text not null,
      as_of timestamptz not null,
      entities bytea[] not null,
      keys json not null,
      request json not null,
      features json not null,
      statuses json not null,
      reads json not null,
      outputs json not null,
      latency_micros integer not null,
      api_key text,
      degraded boolean not null,
      skewed boolean not null,
      snapshot pg_snapshot not null default pg_current_snapshot()
    ) partition by range (at)`.execute(db)
  await sql`create index prediction_log_at on lockstep.prediction_log using brin (at)`.execute(db)
  await sql`create index prediction_log_by_request on lockstep.prediction_log (request_id)`.execute(db)
  await sql`create index prediction_log_by_entity on lockstep.prediction_log using gin (entities)`.execute(db)
}
