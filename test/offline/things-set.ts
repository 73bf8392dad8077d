import { viewSpec } from '../kernel/view-oracle.ts'
import { service, view } from './things.ts'

const last = {
  kind: 'latest',
  name: 'last',
  column: 'i',
  type: { kind: 'int32' },
  ttlMicros: null,
  default: null,
  required: false,
} as const

/** A service over the table `things`, and a spine for it: what the tests of a training set and their processes share. */
export const thingsService = service([
  { plan: view(viewSpec('things', [last], { kind: 'continuous' }), 'things'), alias: null, key: ['thing'] },
])
export const manyThings = `SELECT 'thing ' || n % 7 AS thing, '2001-03-01T12:00Z'::timestamptz + n * interval '1 second' AS moment FROM generate_series(1, 20000) n`
