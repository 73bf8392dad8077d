import type { LatestFeatureSpec, WindowFeatureSpec } from '../../kernel/view-spec.ts'
import { hour } from '../kernel/view-oracle.ts'

// The features of tests that are not about features.

/** The last `i` of a thing. */
export const lastThing: LatestFeatureSpec = {
  kind: 'latest',
  name: 'last',
  column: 'i',
  type: { kind: 'int32' },
  ttlMicros: null,
  default: null,
  required: false,
}

/** The same of the last day, without which a thing is not served. */
export const requiredThing: LatestFeatureSpec = { ...lastThing, ttlMicros: 24 * hour, required: true }

/** How many rows of a thing there are in two days. */
export const countOfThings: WindowFeatureSpec = {
  kind: 'window',
  name: 'n',
  aggregate: 'count',
  column: null,
  windowMicros: 48 * hour,
  hopMicros: hour,
  type: { kind: 'int32' },
  default: null,
  required: false,
}
