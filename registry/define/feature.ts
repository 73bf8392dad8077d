import type { ValueOf, ValueType } from '../../kernel/values/value-type.ts'

/** A feature as seen by other definitions: its type, and whether its value can be null. */
export interface Feature<V extends ValueType = ValueType, Nullable extends boolean = boolean> {
  readonly type: V
  readonly nullable: Nullable
}
export type Features = Readonly<Record<string, Feature>>

/** The values of features, as the transform of an on-demand view receives them. */
export type FeatureValues<F extends Features> = {
  readonly [K in keyof F]: true extends F[K]['nullable'] ? ValueOf<F[K]['type']> | null : ValueOf<F[K]['type']>
}

/** A feature with a default, or a required one, is not nullable. */
export type Nullable<D, R extends boolean> = [D] extends [undefined] ? (true extends R ? false : true) : false
