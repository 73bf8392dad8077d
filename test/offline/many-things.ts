import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { hour, viewSpec } from '../kernel/view-oracle.ts'
import { createThings, service, view } from './things.ts'

const features = [
  { kind: 'latest', name: 'last', column: 'i', type: { kind: 'int32' }, ttlMicros: null, default: null, required: false },
  {
    kind: 'window',
    name: 'mean',
    aggregate: 'mean',
    column: 'f',
    windowMicros: 6 * hour,
    hopMicros: hour,
    type: { kind: 'float64' },
    default: null,
    required: false,
  },
] as const
const rows = 20_000

/** A training set that takes a while: 20,000 rows of 200 things, each with as many of its source. */
export const manyThings: { readonly service: ServicePlan; readonly spine: string } = {
  service: service([{ plan: view(viewSpec('things', features, { kind: 'continuous' }), 'things'), alias: null, key: ['thing'] }]),
  spine: `SELECT 'thing ' || n % 200 AS thing, '2001-03-01 00:30Z'::timestamptz + n * interval '10 s' AS moment, n FROM generate_series(1, ${rows}) n ORDER BY n`,
}

export async function createManyThings(db: Database): Promise<void> {
  await createThings(db, 'things', [])
  await db.query(
    `INSERT INTO things (thing, at, i, f, "_row") SELECT 'thing ' || n % 200, '2001-03-01 00:00Z'::timestamptz + n * interval '10 s', n, n / 7.0, n FROM generate_series(1, ${rows}) n`,
  )
}
