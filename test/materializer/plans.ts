import { compileView } from '../../kernel/compile-view.ts'
import type { Availability, FeatureSpec, SourceRelation, ViewSpec } from '../../kernel/specs/view-spec.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'

const hour = 3_600_000_000
const base = { default: null, required: false }
const window = { ...base, kind: 'window', windowMicros: 2 * hour, hopMicros: hour / 12 } as const

const features: FeatureSpec[] = [
  { ...base, kind: 'latest', name: 'last', type: { kind: 'float64' }, column: 'amount', ttlMicros: null },
  { ...window, name: 'rows', type: { kind: 'int32' }, aggregate: 'count', column: null },
  { ...window, name: 'total', type: { kind: 'float64' }, aggregate: 'sum', column: 'amount' },
  { ...window, name: 'mean', type: { kind: 'float64' }, aggregate: 'mean', column: 'amount', windowMicros: 6 * hour },
  { ...window, name: 'least', type: { kind: 'float64' }, aggregate: 'min', column: 'amount' },
  { ...window, name: 'lastLabel', type: { kind: 'string' }, aggregate: 'last', column: 'label' },
]

export interface PlanOptions {
  readonly name?: string
  readonly relation: SourceRelation
  readonly availability?: Availability
  /** Text of the row transform; it derives nothing and may drop rows. */
  readonly code?: string
  /** One entity without a key: all rows belong to it. */
  readonly world?: boolean
}

/** A view of payments by account with a latest value and windows: what the tests of the materializer fold. */
export function paymentsPlan({
  name = 'payments',
  relation,
  availability = { kind: 'continuous' },
  code,
  world = false,
}: PlanOptions): ViewPlan {
  const spec: ViewSpec = {
    name,
    version: 1,
    entity: { name: world ? 'world' : 'account', key: world ? [] : [{ name: 'account', type: { kind: 'string' } }] },
    source: {
      name: 'payments',
      relation,
      key: world ? [] : [{ part: 'account', column: 'account' }],
      eventTime: 'paid_at',
      known: 'known_at',
      columns: [
        { name: 'amount', type: { kind: 'float64' } },
        { name: 'label', type: { kind: 'string' } },
      ],
    },
    availability,
    derive: [],
    code: code === undefined ? null : 'code',
    features,
  }
  return compileView({ spec, code: code ?? null, fingerprint: `fingerprint of ${name}` })
}
