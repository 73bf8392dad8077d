import type { DefinitionId, JsonValue } from './view-spec.ts'
import type { Column, ValueType } from './value-type.ts'

/**
 * What an on-demand view is, as plain JSON. Its transform computes features from other views' features and from request
 * data.
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

/**
 * Under which name the transform receives which view's features: those of a feature view, or those of another on-demand
 * view.
 */
export type OnDemandInputSpec = {
  readonly name: string
  /** Only these, in the view's own order; absent: all. */
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

/** What a feature service is: an ordered list of features. */
export interface ServiceSpec {
  readonly name: string
  readonly version: number
  readonly members: readonly ServiceMember[]
}

export type ServiceMember =
  | { readonly kind: 'view'; readonly use: ViewUseSpec; readonly features: readonly string[] }
  | { readonly kind: 'onDemand'; readonly view: DefinitionId; readonly features: readonly string[] }

/** What a model is declared to be; its versions (bytes, metadata) live in the registry. */
export interface ModelSpec {
  readonly name: string
  readonly service: DefinitionId
  /** The outputs that are answered, by the name that the ONNX file gives them. */
  readonly output: readonly Column[]
}
