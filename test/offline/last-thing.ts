import type { LatestFeatureSpec } from '../../kernel/view-spec.ts'

/** The feature of most tests that are not about features: the last `i` of a thing. */
export const lastThing: LatestFeatureSpec = {
  kind: 'latest',
  name: 'last',
  column: 'i',
  type: { kind: 'int32' },
  ttlMicros: null,
  default: null,
  required: false,
}
