import { join } from 'node:path'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { openOnlineStore } from '../../online/open-store.ts'
import { applyChanges } from '../../registry/changes/apply.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import { loadDefinitions } from '../../registry/load/load-definitions.ts'
import { pushModel } from '../../registry/models/models.ts'
import { createKey } from '../../registry/keys/api-keys.ts'
import type { Config } from '../../runtime/config.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { migrateDatabase } from '../../runtime/postgres/migrated.ts'
import { inspectModel } from '../../inference/inspect-model.ts'
import { perceptron } from './perceptron.ts'

export const views = ['profile', 'account', 'device', 'offer', 'spending']
export const width = 50

/** Fills the tables with rows of the last days, materializes the views, and pushes the model. @returns an API key */
export async function setUp(db: Database, config: Config, customers: number): Promise<string> {
  await migrateDatabase(db.kysely)
  await applyChanges(db, await loadDefinitions(join(import.meta.dirname, 'definitions.ts')))
  const numbers = `generate_series(1, ${customers}) n`
  for (const [i, table] of ['profiles', 'accounts', 'devices', 'offers'].entries()) {
    await db.query(`insert into lockstep_source.${table} (customer, at, a, b, c, d, e, f, g, h, i, j)
      select n, now() - interval '1 day' - hashint8(n + ${i}) % 43200000 * interval '1 ms',
        n * 0.37, n * 1.7 + ${i}, sqrt(n), n / 7.0, 1.0 / n, n % 120, hashint4(n) % 1000000, hashint4(n), n % 2 = 0, n % 50
      from ${numbers}`)
  }
  await db.query(`insert into lockstep_source.payments (customer, at, amount)
    select n, now() - (1 + (n + k * 23) % 160) * interval '1 hour' + (hashint8(n * 8 + k) & 2097151) * interval '1 ms', n % 1000 * 0.25 + k
    from ${numbers} cross join generate_series(0, 6) k where k < 3 + n % 5`)
  const store = await openOnlineStore(config)
  const catalog = await loadCatalog(db)
  for (const view of views) await materializeView(db, store, catalog.view(view))
  await store.close()
  const bytes = perceptron(width, 64)
  await pushModel(db, { model: 'score', bytes, contract: await inspectModel(bytes) })
  const key = { name: 'bench', scopes: ['read', 'predict'], requestsPerSecond: null, rowsPerSecond: null, expiresAt: null } as const
  return (await createKey(db, key)).text
}
