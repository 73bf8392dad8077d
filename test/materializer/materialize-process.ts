import { Redis } from 'ioredis'
import { materializeView } from '../../materializer/runs/materialize.ts'
import { openEmbeddedStore } from '../../online/embedded-store.ts'
import { createRedisStore } from '../../online/redis-store.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { paymentsPlan } from './plans.ts'

// A separate process that materializes one view once: `DATABASE_URL TABLE VIEW MOMENT embedded DIRECTORY` or `… redis
// URL PREFIX`.
const [url = '', table = '', view = '', moment, kind, where = '', prefix = ''] = process.argv.slice(2)
const db = openPostgres(url)
const store = kind === 'embedded' ? openEmbeddedStore(where) : createRedisStore({ redis: new Redis(where), prefix })
const result = await materializeView(db, store, paymentsPlan({ name: view, relation: { kind: 'table', table } }), {
  moment: Number(moment),
  onProgress: () => process.send?.('progress'),
})
process.send?.(result)
await store.close()
await db.close()
process.disconnect?.()
