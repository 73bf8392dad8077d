import type { DefinitionId, JsonValue } from './view-spec.ts'
import type { Column, ValueType } from '../values/value-type.ts'

/**
 * An on-demand view as plain JSON. Its transform computes features from other views' features and from request data.
 */
export interface OnDemandSpec {
  readonly name: string
  readonly version: number
  readonly request: readonly Column[]
  readonly inputs: readonly OnDemandInputSpec[]
  readonly features: readonly OnDemandFeatureSpec[]
  /** Hash of the stored code of the transform. */
  readonly code: string
}

/** An input of a transform: its name there, and the feature view or on-demand view whose features it receives. */
export type OnDemandInputSpec = {
  readonly name: string
  /** Only these features, in the view's own order. Absent: all. */
  readonly features?: readonly string[]
} & ({ readonly use: ViewUseSpec } | { readonly onDemand: DefinitionId })

export interface OnDemandFeatureSpec {
  readonly name: string
  readonly type: ValueType
  readonly default: JsonValue
  readonly required: boolean
}

/** One view read under one mapping of its entity's key. */
export interface ViewUseSpec {
  readonly view: DefinitionId
  /** The alias under which the view is used, or null. */
  readonly alias: string | null
  /** For each part of the entity's key, in the entity's order, the column of the spine or request that holds it. */
  readonly key: readonly string[]
}

/** A feature service: an ordered list of features. */
export interface ServiceSpec {
  readonly name: string
  readonly version: number
  readonly members: readonly ServiceMember[]
}

export type ServiceMember =
  | { readonly kind: 'view'; readonly use: ViewUseSpec; readonly features: readonly string[] }
  | { readonly kind: 'onDemand'; readonly view: DefinitionId; readonly features: readonly string[] }

/** A declared model. Its versions (bytes, metadata) live in the registry. */
export interface ModelSpec {
  readonly name: string
  readonly service: DefinitionId
  /**
   * The features that form a row of an input, in order, by the input's name in the ONNX file. Absent: an input takes
   * the feature of its name, or a single one all numeric features.
   */
  readonly input?: Readonly<Record<string, readonly string[]>>
  /** The outputs in the answer, by their names in the ONNX file. */
  readonly output: readonly Column[]
}
