/**
 * The shares of rows by bin, with the covariance of these shares when rows of one entity are not independent: entities
 * are drawn, and each brings all of its rows.
 */
export interface ClusteredShares {
  /** By bin; they sum to 1. */
  readonly shares: readonly number[]
  /** Bins × bins, row by row. */
  readonly covariance: readonly number[]
  readonly rows: number
  readonly entities: number
  /** (Σ r)² / Σ r² for r rows by entity: so many entities of equal size would weigh as these do. */
  readonly effectiveEntities: number
}

/** Whole-number sums over entities, from which shares and their covariance follow. */
export interface EntitySums {
  readonly bins: number
  entities: number
  /** Σ r², for r rows by entity. */
  squares: number
  /** Σ c by bin, for c rows of an entity in the bin. */
  readonly counts: Float64Array
  /** Σ r c by bin. */
  readonly weighted: Float64Array
  /** Σ c c' by pair of bins, row by row. */
  readonly products: Float64Array
}

export function createEntitySums(bins: number): EntitySums {
  return {
    bins,
    entities: 0,
    squares: 0,
    counts: new Float64Array(bins),
    weighted: new Float64Array(bins),
    products: new Float64Array(bins * bins),
  }
}

/** Adds all rows of one entity, by the bins that they fall into. */
export function addEntity(sums: EntitySums, rows: readonly number[]): void {
  const own = new Map<number, number>()
  for (const bin of rows) own.set(bin, (own.get(bin) ?? 0) + 1)
  sums.entities++
  sums.squares += rows.length ** 2
  for (const [a, count] of own) {
    add(sums.counts, a, count)
    add(sums.weighted, a, count * rows.length)
    for (const [b, other] of own) add(sums.products, a * sums.bins + b, count * other)
  }
}

/** As `addEntity`, for an entity whose rows are counted by bin. An entity without rows adds nothing. */
export function addEntityCounts(sums: EntitySums, counts: ArrayLike<number>): void {
  const used: number[] = []
  let rows = 0
  for (let bin = 0; bin < counts.length; bin++) {
    const count = counts[bin] as number
    if (count === 0) continue
    used.push(bin)
    rows += count
  }
  if (rows === 0) return
  sums.entities++
  sums.squares += rows ** 2
  for (const a of used) {
    const count = counts[a] as number
    add(sums.counts, a, count)
    add(sums.weighted, a, count * rows)
    for (const b of used) add(sums.products, a * sums.bins + b, count * (counts[b] as number))
  }
}

/**
 * The linearized variance of a ratio over entities: Σ u uᵀ / n² · m / (m - 1), where u are the residuals (rows of the
 * entity in the bin) - share · (rows of the entity), n the rows and m the entities. With one row an entity it is the
 * covariance of a multinomial sample, times n / (n - 1). Needs two entities. Source: Cochran, Sampling Techniques
 * (1977), section 6.3; Rao and Scott, JASA 76 (1981).
 */
export function clusteredShares({ bins, entities, squares, counts, weighted, products }: EntitySums): ClusteredShares {
  const rows = counts.reduce((sum, count) => sum + count, 0)
  const shares = [...counts].map((count) => count / rows)
  const scale = entities / (entities - 1) / (rows * rows)
  const covariance = [...products].map((product, i) => {
    const [a, b] = [Math.floor(i / bins), i % bins]
    const [p, q] = [shares[a] as number, shares[b] as number]
    return scale * (product - p * (weighted[b] as number) - q * (weighted[a] as number) + p * q * squares)
  })
  return { shares, covariance, rows, entities, effectiveEntities: (rows * rows) / squares }
}

function add(sums: Float64Array, index: number, value: number): void {
  sums[index] = (sums[index] as number) + value
}
