import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll } from 'vitest'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { MaterializeResult } from '../../materializer/runs/materialize.ts'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { openEmbeddedStore } from '../../online/embedded-store.ts'
import { createRedisStore } from '../../online/redis-store.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { testDatabase, testRedis } from '../services/index.ts'
import type { PaymentsTable } from './payments-table.ts'
import { createPaymentsTable } from './payments-table.ts'
import type { Payment } from './payments.ts'
import { minute, start } from './payments.ts'
import { paymentsPlan } from './plans.ts'

export const moment = start + 2_000 * minute
export const storeKinds = ['redis', 'embedded'] as const
export type StoreKind = (typeof storeKinds)[number]

export interface MaterializerFixture {
  readonly databaseUrl: string
  open(kind: StoreKind): { readonly db: Database; readonly store: OnlineStore }
  /** The arguments by which test/materializer/materialize-process.ts opens the same store. */
  readonly addresses: Readonly<Record<StoreKind, readonly string[]>>
}

/** A database and both stores for a test file. Call it at the top of the file, and use the result within tests. */
export function materializerFixture(): () => MaterializerFixture {
  let fixture: MaterializerFixture
  let close: () => Promise<void>
  beforeAll(async () => {
    const database = await testDatabase()
    const directory = await mkdtemp(join(tmpdir(), 'lockstep-materialize-'))
    const redis = await testRedis()
    const db = openPostgres(database.url)
    const stores = {
      redis: createRedisStore({ redis: new Redis(redis.url), prefix: redis.prefix }),
      embedded: openEmbeddedStore(directory),
    }
    fixture = {
      databaseUrl: database.url,
      open: (kind) => ({ db, store: stores[kind] }),
      addresses: { redis: ['redis', redis.url, redis.prefix], embedded: ['embedded', directory] },
    }
    close = async () => {
      for (const store of Object.values(stores)) await store.close()
      await db.close()
      await rm(directory, { recursive: true })
      await database.drop()
    }
  })
  afterAll(() => close?.())
  return () => fixture
}

let names = 0

/** A separate table and a view over it. */
export async function freshView(db: Database, kind: 'owned' | 'plain' = 'owned'): Promise<{ table: PaymentsTable; plan: ViewPlan }> {
  const name = `payments${names++}`
  return { table: await createPaymentsTable(db, name, kind), plan: paymentsPlan({ name, relation: { kind: 'table', table: name } }) }
}

/** Rows over many accounts, so that a run takes many writes. */
export function many(rows: number): Payment[] {
  return Array.from({ length: rows }, (_, i) => ({
    account: `account ${(i * 7919) % 2_003}`,
    paidAt: start + (i % 97) * minute,
    knownAt: null,
    amount: i / 8,
    label: i % 3 === 0 ? null : 'x',
  }))
}

/** A run that is held before its first write of states, until `open` is called. */
export async function heldRun(
  db: Database,
  store: OnlineStore,
  plan: ViewPlan,
): Promise<{ run: Promise<MaterializeResult>; open(): void }> {
  const gated = gatedStore(store, plan.spec.entity.name)
  const run = materializeView(db, gated.store, plan, { moment })
  await gated.reached
  return { run, open: gated.open }
}

/** A view that is materialized, and a second, held run over as many rows again. */
export async function heldSecondRun(db: Database, store: OnlineStore) {
  const { table, plan } = await freshView(db)
  await table.insert(many(500))
  await materializeView(db, store, plan, { moment })
  await table.insert(many(500))
  return { table, plan, ...(await heldRun(db, store, plan)) }
}

/** The store, with a gate before the first write of states of an entity. */
function gatedStore(store: OnlineStore, entity: string): { store: OnlineStore; reached: Promise<void>; open(): void } {
  const [reached, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  return {
    store: {
      ...store,
      async write(entries) {
        if (entries.some((entry) => entry.entity === entity)) {
          reached.resolve()
          await gate.promise
        }
        return store.write(entries)
      },
    },
    reached: reached.promise,
    open: gate.resolve,
  }
}
