import { isCount } from './result-type.ts'
import type { OnDemandFeatureSpec } from './service-spec.ts'
import type { FeatureSpec } from './view-spec.ts'

/** Whether a value can be null. A default, or being required, takes null away; a count is never null. */
export function isNullable(feature: FeatureSpec | OnDemandFeatureSpec): boolean {
  return !isCount(feature) && feature.default === null && !feature.required
}
