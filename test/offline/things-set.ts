import { viewSpec } from '../kernel/view-oracle.ts'
import { lastThing } from './thing-features.ts'
import { service, view } from './things.ts'

/**
 * A service over the table `things`, and a spine for it, which the tests of training sets and their processes share.
 */
export const thingsService = service([
  { plan: view(viewSpec('things', [lastThing], { kind: 'continuous' }), 'things'), alias: null, key: ['thing'] },
])
export const manyThings = `SELECT 'thing ' || n % 7 AS thing, '2001-03-01T12:00Z'::timestamptz + n * interval '1 second' AS moment FROM generate_series(1, 20000) n`
