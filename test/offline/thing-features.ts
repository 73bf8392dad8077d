import type { LatestFeatureSpec, WindowFeatureSpec } from '../../kernel/specs/view-spec.ts'
import { hour } from '../kernel/view-oracle.ts'

// Features for tests whose subject is not features.

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

/** The last `i` within a day; required, so a thing without one is not served. */
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
