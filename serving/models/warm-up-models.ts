import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Value, ValueType } from '../../kernel/values/value-type.ts'
import type { FeatureRow } from '../../inference/tensor-writer.ts'

/** A row that the model takes: nothing where a feature can be missing, else zero, or nothing of its kind. */
export function warmUpRow({ features }: Pick<ServicePlan, 'features'>): FeatureRow {
  return features.map(({ nullable, type }) => (nullable ? null : zero(type)))
}

function zero(type: ValueType): Value {
  switch (type.kind) {
    case 'bool':
      return false
    case 'int64':
      return 0n
    case 'string':
      return ''
    case 'vector':
      return new Float32Array(type.length)
    default:
      return 0
  }
}
