import { type Kysely, sql } from 'kysely'

/** Jobs of every kind, and their steps. Moves backfills there and drops the queues of pg-boss. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.jobs (
      id bigint generated always as identity primary key,
      kind text not null,
      subject text not null,
      scope text not null,
      key text,
      moment bigint,
      spec json not null,
      plan json,
      state text not null check (state in ('running', 'done', 'failed', 'cancelled')),
      plans boolean not null,
      finishes boolean not null,
      cleans boolean not null,
      lease_seconds integer not null check (lease_seconds >= 1),
      keep_days integer not null check (keep_days >= 0),
      chunks integer not null default 0,
      chunks_done integer not null default 0,
      error json,
      result json,
      submitted_by text not null,
      submitted_at timestamptz not null default clock_timestamp(),
      finished_at timestamptz
    )`.execute(db)
  await sql`
    create table lockstep.job_chunks (
      job bigint not null references lockstep.jobs (id) on delete cascade,
      step text not null check (step in ('plan', 'chunk', 'finish', 'clean')),
      number integer not null check (number >= 0),
      state text not null check (state in ('open', 'done', 'closed')),
      data json not null,
      attempts integer not null default 0,
      claimable_at timestamptz not null default clock_timestamp(),
      claim uuid,
      worker text,
      progress double precision,
      result json,
      error json,
      finished_at timestamptz,
      primary key (job, step, number)
    )`.execute(db)

  await sql`
    insert into lockstep.jobs
      (id, kind, subject, scope, key, spec, plan, state, plans, finishes, cleans, lease_seconds, keep_days, chunks, error, result, submitted_by, submitted_at, finished_at)
    overriding system value
    select b.id, 'backfill', b.view, b.store, concat_ws(' ', b.view, b.from_time, b.to_time),
      json_build_object(
        'view', b.view,
        'events', case when b.from_time is null then null else json_build_object('from', b.from_time, 'to', b.to_time) end,
        'chunks', b.chunks),
      json_build_object(
        'fingerprint', b.fingerprint, 'moment', b.moment,
        'run', json_build_object('id', b.run::text, 'startedAt', to_json(coalesce(r.started_at, b.started_at) at time zone 'UTC') #>> '{}' || 'Z'),
        'origin', json_build_object('id', b.origin::text, 'startedAt', to_json(b.origin_started_at at time zone 'UTC') #>> '{}' || 'Z')),
      b.state, true, true, false, 30, 30, b.chunks, b.error, null, b.started_by, b.started_at, b.finished_at
    from lockstep.backfills b left join lockstep.materialization_runs r on r.id = b.run`.execute(db)
  await sql`
    insert into lockstep.job_chunks (job, step, number, state, data, worker, result, finished_at)
    select c.backfill, 'chunk', c.chunk,
      case when c.finished_at is not null then 'done' when b.state = 'running' then 'open' else 'closed' end,
      case when c.finished_at is null and b.state = 'running' then json_build_object('from', c.from_key, 'to', c.to_key) else 'null' end,
      c.worker,
      case when c.finished_at is null then null else json_build_object('rows', c.rows, 'entities', c.entities, 'below', c.below::text) end,
      c.finished_at
    from lockstep.backfill_chunks c join lockstep.backfills b on b.id = c.backfill`.execute(db)
  await sql`
    insert into lockstep.job_chunks (job, step, number, state, data)
    select id, 'finish', 0, 'open', 'null' from lockstep.jobs j
    where state = 'running' and not exists (select from lockstep.job_chunks c where c.job = j.id and c.state = 'open')`.execute(db)
  await sql`
    update lockstep.jobs j
    set chunks_done = (select count(*) from lockstep.job_chunks c where c.job = j.id and c.step = 'chunk' and c.state = 'done')`.execute(db)
  await sql`select setval(pg_get_serial_sequence('lockstep.jobs', 'id'), coalesce((select max(id) from lockstep.jobs), 0) + 1, false)`.execute(
    db,
  )

  await sql`create unique index jobs_unfinished on lockstep.jobs (kind, scope, key) where state = 'running'`.execute(db)
  await sql`create unique index jobs_moment on lockstep.jobs (kind, scope, key, moment) where moment is not null`.execute(db)
  await sql`create index jobs_key on lockstep.jobs (kind, scope, key, id)`.execute(db)
  await sql`create index jobs_claimable on lockstep.jobs (id) where state = 'running' or (cleans and state <> 'done')`.execute(db)
  await sql`create index jobs_finished on lockstep.jobs (finished_at) where finished_at is not null`.execute(db)
  await sql`create index job_chunks_open on lockstep.job_chunks (job, claimable_at, number) where state = 'open'`.execute(db)

  await sql`drop table lockstep.backfill_chunks, lockstep.backfills`.execute(db)
  // Another role may own the schema of pg-boss. Nothing reads it any more.
  await sql`
    do $$ begin
      drop schema if exists lockstep_jobs cascade;
    exception when insufficient_privilege then null;
    end $$`.execute(db)
}
