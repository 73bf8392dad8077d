import { type Kysely, sql } from 'kysely'

/** Monitors, their alerts, silences, and the notifications that are to be delivered. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table lockstep.definitions drop constraint definitions_kind_check`.execute(db)
  await sql`
    alter table lockstep.definitions add constraint definitions_kind_check
      check (kind in ('entity', 'source', 'view', 'onDemand', 'service', 'model', 'outcome', 'monitor', 'channel'))`.execute(db)
  await sql`
    create table lockstep.monitors (
      name text primary key,
      moment bigint,
      evaluated_at timestamptz
    )`.execute(db)
  await sql`
    create table lockstep.alerts (
      id bigint generated always as identity primary key,
      monitor text not null,
      check_kind text not null,
      subject text not null,
      severity text not null check (severity in ('page', 'ticket')),
      state text not null check (state in ('firing', 'resolved')),
      started bigint not null,
      resolved bigint,
      resolution text check (resolution in ('cleared', 'removed')),
      notified boolean not null default false,
      about json not null,
      started_with json not null,
      result json not null,
      check ((state = 'resolved') = (resolved is not null) and (resolved is null) = (resolution is null))
    )`.execute(db)
  await sql`create unique index alerts_firing on lockstep.alerts (monitor, check_kind, subject) where state = 'firing'`.execute(db)
  await sql`create index alerts_resolved on lockstep.alerts (resolved) where state = 'resolved'`.execute(db)
  await sql`
    create table lockstep.monitor_states (
      monitor text not null references lockstep.monitors (name) on delete cascade,
      check_kind text not null,
      subject text not null,
      phase text not null check (phase in ('ok', 'pending', 'firing')),
      state json not null,
      result json not null,
      memory json,
      primary key (monitor, check_kind, subject)
    )`.execute(db)
  await sql`
    create table lockstep.alert_silences (
      id bigint generated always as identity primary key,
      monitor text not null,
      check_kind text,
      subject text,
      ends_at timestamptz not null,
      reason text not null,
      created_by text not null,
      created_at timestamptz not null default clock_timestamp()
    )`.execute(db)
  await sql`
    create table lockstep.alert_deliveries (
      id bigint generated always as identity primary key,
      alert bigint references lockstep.alerts (id) on delete cascade,
      channel text not null,
      key text not null,
      message json not null,
      state text not null check (state in ('open', 'sent', 'dropped')) default 'open',
      attempts integer not null default 0,
      error text,
      created_at timestamptz not null default clock_timestamp(),
      ended_at timestamptz,
      unique (channel, key)
    )`.execute(db)
  await sql`create index alert_deliveries_open on lockstep.alert_deliveries (channel, id) where state = 'open'`.execute(db)
  await sql`create index alert_deliveries_alert on lockstep.alert_deliveries (alert)`.execute(db)
}
