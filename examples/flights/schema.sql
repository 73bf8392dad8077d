-- The tables of the flights example. Lockstep reads them; `lockstep ingest` fills them.
--
-- A flight is one row with two moments: it departs at "date", and how late it was is known once it is down. The data do
-- not say when that was, so it is estimated: departure, plus the delay, plus the distance at 500 miles an hour.
--
-- "_row" and "_xid" are what lets Lockstep read only what has arrived since it last looked; tables that it makes by
-- itself have them too.

create table if not exists flights (
  date timestamp not null,
  delay double precision,
  distance integer not null,
  origin text not null,
  destination text not null,
  landed_at timestamp generated always as (date + interval '1 minute' * (coalesce(delay, 0) + distance * 60.0 / 500)) stored,
  _row bigint generated always as identity,
  _xid xid8 not null default pg_current_xact_id()
);

create table if not exists airports (
  iata text not null,
  name text,
  city text,
  state text,
  country text,
  latitude double precision,
  longitude double precision,
  listed_at timestamp not null default '2000-01-01',
  _row bigint generated always as identity,
  _xid xid8 not null default pg_current_xact_id()
);
