import { type Kysely, sql } from 'kysely'

/** Entities that a view has set aside in a store, because their rows cannot be folded. Every run tries them again. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.set_aside (
      view text not null,
      store text not null,
      entity text not null,
      key bytea not null,
      code text not null,
      message text not null,
      since timestamptz not null default now(),
      tried_at timestamptz not null default now(),
      primary key (view, store, key)
    )`.execute(db)
}
