import type { ExperimentSpec, MetricSpec } from '../../kernel/specs/experiment-spec.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import type { DefinitionSet } from '../../registry/load/definition-set.ts'
import { hash, servingSet } from './definitions.ts'

const landed: SourceSpec = {
  name: 'landed',
  relation: { kind: 'owned' },
  key: [{ part: 'airport', column: 'airport' }],
  eventTime: 'at',
  known: 'known_at',
  columns: [{ name: 'cost', type: { kind: 'float64' } }],
}
const cost: MetricSpec = {
  name: 'cost',
  role: 'primary',
  kind: 'mean',
  value: { of: { kind: 'source', source: landed, key: [{ name: 'airport', type: { kind: 'string' } }] }, aggregate: 'sum', column: 'cost' },
  withinMicros: 86_400_000_000,
  winsorizeAt: null,
  per: 'unit',
  better: 'lower',
  margin: null,
}
/** Gives versions of the model `delay` to airports. */
export const prices: ExperimentSpec = {
  name: 'prices',
  model: 'delay',
  unit: 'airport',
  variants: [
    { name: 'control', serves: 'champion', weight: 0.5 },
    { name: 'treatment', serves: 2, weight: 0.5 },
  ],
  layer: { name: 'pricing', from: 0, to: 0.8 },
  metrics: [cost],
  covariates: [],
  slices: [],
  analysis: { method: 'sequential', alpha: 0.05, correction: 'holm', units: null, prior: null },
}

/** The serving definitions with experiments; with `prices` if none is named. */
export function withExperiments(coverage: number, ...experiments: ExperimentSpec[]): DefinitionSet {
  const declared = <Spec extends object>(spec: Spec, operational = {}) => ({ spec, fingerprint: hash(JSON.stringify(spec)), operational })
  return {
    ...servingSet,
    sources: [...servingSet.sources, declared(landed)],
    experiments: (experiments.length === 0 ? [prices] : experiments).map((spec) => ({ ...declared(spec), operational: { coverage } })),
  }
}
