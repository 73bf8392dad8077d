// A process that does one thing, and dies at a fault point: `DATABASE_URL REDIS_URL PREFIX OPERATION POINT`.
import { Redis } from 'ioredis'
import { createRedisStore } from '../../online/redis-store.ts'
import { loadCatalog } from '../../registry/catalog.ts'
import type { FaultPoint } from '../../runtime/fault-point.ts'
import { armFaultPoint } from '../../runtime/fault-point.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import type { Operation } from './crash-operation.ts'
import { operate } from './crash-operation.ts'

const [url = '', redis = '', prefix = '', operation, point] = process.argv.slice(2)
const db = openPostgres(url)
const store = createRedisStore({ redis: new Redis(redis), prefix })
const catalog = await loadCatalog(db)
armFaultPoint(point as FaultPoint)
await operate(operation as Operation, db, store, catalog)
await store.close()
await db.close()
