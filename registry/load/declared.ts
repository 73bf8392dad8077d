import type { ExperimentSpec } from '../../kernel/specs/experiment-spec.ts'
import type { FilesSpec } from '../../kernel/specs/files-spec.ts'
import type { StreamSpec } from '../../kernel/specs/stream-spec.ts'
import type { DefinitionId, EntitySpec, SourceSpec } from '../../kernel/specs/view-spec.ts'
import type { Definition } from '../definition.ts'
import type { ChannelSpec, MonitorSpec } from '../monitor-spec.ts'
import type { PipelineSpec } from '../pipeline-spec.ts'
import type { ScheduledBatchSpec } from '../scheduled-batch-spec.ts'
import type { TrainingSpec } from '../trainings/training-spec.ts'

/** Definitions as they are declared, by name. */
export interface Declared {
  readonly entities: ReadonlyMap<string, EntitySpec>
  readonly sources: ReadonlyMap<string, SourceSpec>
  /** The stream of a source, by the source's name. */
  readonly streams: ReadonlyMap<string, StreamSpec>
  /** The Parquet files of a source, by the source's name. */
  readonly files: ReadonlyMap<string, FilesSpec>
  /** The sources whose events are pushed. */
  readonly pushed: ReadonlySet<string>
  /** The views that are kept in the online store. */
  readonly online: ReadonlySet<DefinitionId>
  /** The online views that have default monitors. */
  readonly watched: ReadonlySet<DefinitionId>
  readonly channels: ReadonlyMap<string, Watching<ChannelSpec>>
  readonly monitors: ReadonlyMap<string, Watching<MonitorSpec>>
  readonly experiments: ReadonlyMap<string, DeclaredExperiment>
  /** Batches that begin by a schedule. */
  readonly batches: ReadonlyMap<string, Watching<ScheduledBatchSpec>>
  readonly pipelines: ReadonlyMap<string, Watching<PipelineSpec>>
  readonly trainings: ReadonlyMap<string, Watching<TrainingSpec>>
}

/** A monitor, a channel, a batch, a pipeline or a training. */
export interface Watching<Spec> {
  readonly spec: Spec
  readonly description: string | null
}

/** An experiment as it is declared. Its running run may be of an older declaration in what may change meanwhile. */
export interface DeclaredExperiment extends Watching<ExperimentSpec> {
  readonly coverage: number
}

export function declaredByName(definitions: readonly Definition[]): Declared {
  const declared = {
    entities: new Map<string, EntitySpec>(),
    sources: new Map<string, SourceSpec>(),
    streams: new Map<string, StreamSpec>(),
    files: new Map<string, FilesSpec>(),
    pushed: new Set<string>(),
    online: new Set<DefinitionId>(),
    watched: new Set<DefinitionId>(),
    channels: new Map<string, Watching<ChannelSpec>>(),
    monitors: new Map<string, Watching<MonitorSpec>>(),
    experiments: new Map<string, DeclaredExperiment>(),
    batches: new Map<string, Watching<ScheduledBatchSpec>>(),
    pipelines: new Map<string, Watching<PipelineSpec>>(),
    trainings: new Map<string, Watching<TrainingSpec>>(),
  } satisfies Declared
  for (const definition of definitions) {
    const { name, operational } = definition
    const { description = null } = operational
    switch (definition.kind) {
      case 'entity':
        declared.entities.set(name, definition.spec)
        break
      case 'source': {
        const { stream, files, push } = operational
        declared.sources.set(name, definition.spec)
        if (stream !== undefined) declared.streams.set(name, stream)
        if (files !== undefined) declared.files.set(name, files)
        else if (definition.spec.relation.kind === 'owned' || push === true) declared.pushed.add(name)
        break
      }
      case 'view': {
        if (operational.online !== true) break
        const id: DefinitionId = `${name}@${definition.version}`
        declared.online.add(id)
        if (operational.monitors !== 'none') declared.watched.add(id)
        break
      }
      case 'channel':
        declared.channels.set(name, { spec: definition.spec, description })
        break
      case 'monitor':
        declared.monitors.set(name, { spec: definition.spec, description })
        break
      case 'experiment':
        declared.experiments.set(name, { spec: definition.spec, coverage: operational.coverage ?? 1, description })
        break
      case 'batch':
        declared.batches.set(name, { spec: definition.spec, description })
        break
      case 'pipeline':
        declared.pipelines.set(name, { spec: definition.spec, description })
        break
      case 'training':
        declared.trainings.set(name, { spec: definition.spec, description })
        break
      case 'onDemand':
      case 'service':
      case 'model':
      case 'outcome':
        // a catalog has them compiled, or with what is in force
        break
      default:
        definition satisfies never
    }
  }
  return declared
}
