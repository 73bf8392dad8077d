import type { ServiceFeature, ViewUse } from './service-plan.ts'

/** A key of a service. Rows with the same values in it are of one entity, and may depend on each other. */
export interface ColumnKey {
  /** The columns of the key, in order. The name outlives other changes of the service. */
  readonly name: string
  /** A read under this key, by index of the service's `uses`; a service that reads nothing has no such read. */
  readonly use: number
  /** The columns in a spine, a request or the log; empty: the service reads nothing. */
  readonly columns: readonly string[]
}

/** By which key the rows of each column are counted, where rows of one entity count together. */
export interface ColumnKeys {
  /** Those that columns have. The first is that of the service's first view, which outputs have too. */
  readonly list: readonly ColumnKey[]
  /** By index of the service's features: the index of its key in `list`. */
  readonly ofFeature: readonly number[]
}

/**
 * A feature has the key of its view. A feature of an on-demand view has the key of all its inputs, or the first key
 * where inputs have several: which of them has the fewest entities is not known before rows are counted.
 */
export function columnKeys({
  uses,
  features,
}: {
  readonly uses: readonly Pick<ViewUse, 'key'>[]
  readonly features: readonly Pick<ServiceFeature, 'inputs'>[]
}): ColumnKeys {
  const keyOf = (use: number): ColumnKey => {
    const columns = uses[use]?.key ?? []
    return { name: columns.join('\0'), use, columns }
  }
  const list = [keyOf(0)]
  const ofFeature = features.map(({ inputs }) => {
    const [key = keyOf(0), ...others] = inputs.map(keyOf)
    if (others.some(({ name }) => name !== key.name)) return 0
    const known = list.findIndex(({ name }) => name === key.name)
    return known >= 0 ? known : list.push(key) - 1
  })
  return { list, ofFeature }
}
