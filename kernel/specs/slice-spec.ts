/** How rows are split by a column: the groups of its values, or of its numbers. Without `at` and `values`: by value. */
export interface SliceSpec {
  /** A key column, request data, or a feature. */
  readonly column: string
  /** Rising edges of bins. A bin covers its upper edge. */
  readonly at?: readonly number[]
  /** The values of each group, by its label. A row with another value is in the group `(other)`. */
  readonly values?: Readonly<Record<string, readonly (string | number | boolean)[]>>
}

/** By name. */
export type SliceSpecs = Readonly<Record<string, SliceSpec>>

/** The splits of figures that need no declaration, so no slice has such a name. */
export const ownSplits = ['version', 'role', 'day'] as const
