import type { StreamSpec } from '../../../kernel/specs/stream-spec.ts'
import type { DefinitionSet } from '../../../registry/load/definition-set.ts'
import type { PipelineSpec } from '../../../registry/pipeline-spec.ts'
import { declared, servingSet, withRunTimeout } from '../definitions.ts'

/** A pipeline that predicts "delay" for the airport of each landing; its delay is the distance, too. */
export const landingsPipeline = (more: Partial<PipelineSpec> = {}): PipelineSpec => ({
  name: 'score',
  source: 'landings',
  model: 'delay',
  version: null,
  sink: { kind: 'redis', stream: 'scores', field: 'data', maxLength: null, windowSeconds: 3_600 },
  entities: [
    { field: 'airport', column: 'airport' },
    { field: 'distance', column: 'delay' },
  ],
  key: ['airport'],
  group: 'lockstep_pipeline_score',
  ledger: false,
  ...more,
})

/** The definitions of the serving tests, with a stream of landings and pipelines. Runs of "echo" time out soon. */
export function streamingSet(stream: StreamSpec, pipelines: readonly PipelineSpec[]): DefinitionSet {
  const sources = servingSet.sources.map((source) => (source.spec.name === 'landings' ? { ...source, operational: { stream } } : source))
  return withRunTimeout({ ...servingSet, sources, pipelines: pipelines.map(declared) }, 1_000_000)
}

/** A landing that has just happened, as JSON. */
export function landing(airport: string, delay: number | null): string {
  const at = new Date().toISOString()
  return JSON.stringify({ airport, at, delay, amount: null, count: null, city: null, open: null, vec: null })
}
