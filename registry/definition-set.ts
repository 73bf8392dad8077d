import type { ModelSpec, OnDemandSpec, ServiceSpec } from '../kernel/service-spec.ts'
import type { CursorSpec, EntitySpec, SourceSpec, ViewSpec } from '../kernel/view-spec.ts'
import type { StreamSpec } from '../kernel/stream-spec.ts'

/**
 * Everything that one definitions file declares, reduced to data: specs, fingerprints and the bundled code. `loadDefinitions` makes it, `plan` and
 * `apply` take it. Definitions that are reached by reference without being exported are part of it too.
 */
export interface DefinitionSet {
  readonly file: string
  readonly entities: readonly Declared<EntitySpec>[]
  readonly sources: readonly Declared<SourceSpec, SourceOperational>[]
  readonly views: readonly Declared<ViewSpec, ViewOperational>[]
  readonly onDemand: readonly Declared<OnDemandSpec>[]
  readonly services: readonly Declared<ServiceSpec>[]
  readonly models: readonly Declared<ModelSpec, ModelOperational>[]
  /** Bundled transforms by hash (SHA-256 of the text, hex); a spec's `code` names one. */
  readonly code: ReadonlyMap<string, string>
  /** What the file defines and does not export, nor reaches from what it exports: `featureView "airport_delays@1"`. */
  readonly unexported?: readonly string[]
}

export interface Declared<Spec, Operational extends object = Described> {
  readonly spec: Spec
  /** Merkle hash: the semantic fields, the fingerprints of what it refers to, and the identity of its code. Hex. */
  readonly fingerprint: string
  /** Fields outside the fingerprint, which may change under a version. */
  readonly operational: Operational & Described
}

export interface Described {
  readonly description?: string
  readonly owner?: string
}

export interface SourceOperational extends Described {
  /** What feeds the source. */
  readonly stream?: StreamSpec
  /** How what is new is found in a table or query of the user's own. */
  readonly cursor?: CursorSpec
}

export interface ViewOperational extends Described {
  /** Whether the view is kept in the online store. */
  readonly online: boolean
  /** The cap of one entity's state in the online store; absent: none. */
  readonly maxStateBytes?: number
  /** How far the online store may be behind the source; absent: nothing is said. */
  readonly freshnessMicros?: number
}

/** How a model is run; what is absent is as docs/models.md says. */
export interface ModelOperational extends Described {
  /** By how much an answer may differ between runs of other rows beside it, relative to the greatest answers where those are above 1. */
  readonly tolerance?: number
  /** How long a request may wait for others to share its run. */
  readonly batchDelayMicros?: number
  /** How long one run may take. */
  readonly timeoutMicros?: number
  readonly cache?: CacheSettings
}

/** That answers are kept, and for how long. */
export interface CacheSettings {
  readonly ttlMicros: number
  readonly maxEntries: number
}
