import type { ExperimentSpec } from '../../kernel/specs/experiment-spec.ts'
import type { OutcomeSpec } from '../../kernel/specs/outcome-spec.ts'
import type { SliceSpecs } from '../../kernel/specs/slice-spec.ts'
import type { ModelSpec, OnDemandSpec, ServiceSpec } from '../../kernel/specs/service-spec.ts'
import type { CursorSpec, EntitySpec, SourceSpec, ViewSpec } from '../../kernel/specs/view-spec.ts'
import type { ChannelSpec, MonitorSpec } from '../monitor-spec.ts'
import type { ScheduledBatchSpec } from '../scheduled-batch-spec.ts'
import type { PipelineSpec } from '../pipeline-spec.ts'
import type { TrainingSpec } from '../trainings/training-spec.ts'
import type { FilesSpec } from '../../kernel/specs/files-spec.ts'
import type { StreamSpec } from '../../kernel/specs/stream-spec.ts'

/**
 * Everything that a definitions file declares, as data: specs, fingerprints and the bundled code. `loadDefinitions`
 * makes it; `plan` and `apply` use it. It includes referenced definitions that are not exported.
 */
export interface DefinitionSet {
  readonly file: string
  readonly entities: readonly Declared<EntitySpec>[]
  readonly sources: readonly Declared<SourceSpec, SourceOperational>[]
  readonly views: readonly Declared<ViewSpec, ViewOperational>[]
  readonly onDemand: readonly Declared<OnDemandSpec>[]
  readonly services: readonly Declared<ServiceSpec>[]
  readonly models: readonly Declared<ModelSpec, ModelOperational>[]
  readonly outcomes: readonly Declared<OutcomeSpec, OutcomeOperational>[]
  readonly channels: readonly Declared<ChannelSpec>[]
  readonly monitors: readonly Declared<MonitorSpec>[]
  readonly experiments: readonly Declared<ExperimentSpec, ExperimentOperational>[]
  readonly batches: readonly Declared<ScheduledBatchSpec>[]
  readonly pipelines: readonly Declared<PipelineSpec>[]
  readonly trainings: readonly Declared<TrainingSpec>[]
  /** Bundled transforms by hash (SHA-256 of the text, hex); a spec's `code` names one. */
  readonly code: ReadonlyMap<string, string>
  /** Definitions that the file neither exports nor refers to from an exported one: `featureView "airport_delays@1"`. */
  readonly unexported?: readonly string[]
}

export interface Declared<Spec, Operational extends object = Described> {
  readonly spec: Spec
  /** Merkle hash (hex) of the semantic fields, the fingerprints of referenced definitions, and the hash of its code. */
  readonly fingerprint: string
  /** Fields outside the fingerprint, which may change under a version. */
  readonly operational: Operational & Described
}

export interface Described {
  readonly description?: string
  readonly owner?: string
  readonly tags?: readonly string[]
}

export interface SourceOperational extends Described {
  /** The stream that feeds the source. */
  readonly stream?: StreamSpec
  /** The Parquet files that feed the source. */
  readonly files?: FilesSpec
  /** How new rows are found in a table or query that the user owns. */
  readonly cursor?: CursorSpec
  /** Whether events may be pushed into a table that the user created. */
  readonly push?: true
}

export interface ViewOperational extends Described {
  /** Whether the view is kept in the online store. */
  readonly online: boolean
  /** The maximum size of one entity's state in the online store, bytes; absent: no limit. */
  readonly maxStateBytes?: number
  /** How far the online store may be behind the source, microseconds; absent: no objective. */
  readonly freshnessMicros?: number
  /** `none`: it has no default monitors. */
  readonly monitors?: 'none'
}

/** Runtime options of a model. docs/models.md lists the defaults. */
export interface ModelOperational extends Described {
  /**
   * How much a prediction may differ between batches with other rows; relative to the greatest output if that is above
   * 1.
   */
  readonly tolerance?: number
  /** How long a request may wait for other requests to share its run. */
  readonly batchDelayMicros?: number
  /** How long one run may take. */
  readonly timeoutMicros?: number
  /** How many threads one run may use; absent: 1. */
  readonly threads?: number
  readonly cache?: CacheSettings
  /** The least score that counts as a positive decision; absent: 0.5. */
  readonly threshold?: number
  /** Named splits of its figures. */
  readonly slices?: SliceSpecs
  /** `none`: it has no default monitors. */
  readonly monitors?: 'none'
}

export interface OutcomeOperational extends Described {
  /** Business figures: by name, the numeric column of the source; absent: none. */
  readonly figures?: Readonly<Record<string, string>>
}

export interface ExperimentOperational extends Described {
  /** The share of the units that are in the experiment: of all, or of its part of a layer. */
  readonly coverage: number
}

/** That answers are kept, and for how long. */
export interface CacheSettings {
  readonly ttlMicros: number
  readonly maxEntries: number
}
