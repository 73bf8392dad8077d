import type { Estimate, Moments } from '../../statistics/interval.ts'
import { meanInterval, wilson } from '../../statistics/interval.ts'
import { clusteredMean, clusteredShare, effectiveEntities, residualPowers } from '../../statistics/quality-scores.ts'
import type { Figure, Spread } from './figure.ts'
import { figureOf } from './figure.ts'

/**
 * Entities have a sum of their own up to this number. Later ones share these sums, chosen by their hash. Sums of whole
 * entities are independent of each other, so intervals stay right, and memory is bounded.
 */
const maxClusters = 2048
/** One entity does not show how entities vary, so intervals are by row. */
const minEntities = 2

/**
 * Sums of a few values by row, in all and by entity: for means and shares with intervals that let rows of one entity
 * depend on each other.
 */
export interface EntityTally {
  /**
   * @param entity a hash of its key, an int32
   * @param values by column
   * @returns the number of its entity, or of the group that shares its sums
   */
  add(entity: number, values: Float64Array): number
  readonly rows: number
  /** Whether intervals let rows of one entity depend on each other. */
  interval(): Figure['interval']
  /** How many entities; null: more than are kept apart. */
  entities(): number | null
  sum(column: number): number
  /** The mean of a column. */
  mean(column: number): Figure
  /** The share of rows with `part` 1 among those with `of` 1. */
  share(part: number, of: number): Figure
  /** The sum of one linear combination of columns over that of another; weights by column. */
  ratio(part: Readonly<Record<number, number>>, of: Readonly<Record<number, number>>): Figure
  /** How entities share in the sum of a linear combination of columns. undefined: it is not asked for. */
  weightOf(of: Readonly<Record<number, number>>): Spread | undefined
}

/** @param withSpread whether figures have their `spread` */
export function createEntityTally(columns: number, withSpread = false): EntityTally {
  const clusterOf = new Map<number, number>()
  let byCluster = new Float64Array(16 * columns)
  let clusterRows = new Float64Array(16)
  // around the first row's values, so that the variance loses no digits
  const [origins, sums, squares] = [new Float64Array(columns), new Float64Array(columns), new Float64Array(columns)]
  let rows = 0
  let repeats = false

  function clusterOfEntity(entity: number): number {
    const known = clusterOf.get(entity)
    if (known !== undefined) {
      repeats = true
      return known
    }
    const next = clusterOf.size
    if (next === maxClusters) {
      repeats = true
      return (entity >>> 0) % maxClusters
    }
    if (next === clusterRows.length) {
      byCluster = grown(byCluster)
      clusterRows = grown(clusterRows)
    }
    clusterOf.set(entity, next)
    return next
  }

  /** By entity, or by group of entities, weighted sums of columns; the rows themselves where `of` is absent. */
  function clusters(part: Readonly<Record<number, number>>, of?: Readonly<Record<number, number>>): { sum: number; rows: number }[] {
    const sumBy = (weights: Readonly<Record<number, number>>): ((cluster: number) => number) => {
      const terms = Object.entries(weights).map(([column, weight]) => ({ column: Number(column), weight }))
      return (cluster) => terms.reduce((sum, { column, weight }) => sum + weight * (byCluster[cluster * columns + column] as number), 0)
    }
    const [sumOf, rowsOf] = [sumBy(part), of === undefined ? (cluster: number) => clusterRows[cluster] as number : sumBy(of)]
    return Array.from({ length: clusterOf.size }, (_, cluster) => ({ sum: sumOf(cluster), rows: rowsOf(cluster) }))
  }

  const byEntity = (): boolean => repeats && clusterOf.size >= minEntities
  function momentsOf(column: number): Moments {
    const shift = (sums[column] as number) / rows
    const variance = ((squares[column] as number) - shift * shift * rows) / (rows - 1)
    return { n: rows, mean: (origins[column] as number) + shift, variance: Math.max(0, variance) }
  }
  const sum = (column: number): number => (origins[column] as number) * rows + (sums[column] as number)
  const interval = (): Figure['interval'] => (byEntity() ? 'entities' : 'rows')
  function figure(estimate: Estimate, n: number, part: Readonly<Record<number, number>>, of?: Readonly<Record<number, number>>): Figure {
    if (!withSpread) return figureOf(estimate, n, interval())
    const sharing = clusters(part, of).filter((entity) => entity.rows > 0)
    return figureOf(estimate, n, interval(), { entities: effectiveEntities(sharing), residuals: residualPowers(sharing) })
  }

  return {
    add(entity, values) {
      if (rows === 0) origins.set(values)
      rows++
      const cluster = clusterOfEntity(entity)
      clusterRows[cluster] = (clusterRows[cluster] as number) + 1
      for (let column = 0; column < columns; column++) {
        const value = values[column] as number
        byCluster[cluster * columns + column] = (byCluster[cluster * columns + column] as number) + value
        const shifted = value - (origins[column] as number)
        sums[column] = (sums[column] as number) + shifted
        squares[column] = (squares[column] as number) + shifted * shifted
      }
      return cluster
    },
    get rows() {
      return rows
    },
    interval,
    entities: () => (clusterOf.size === maxClusters ? null : clusterOf.size),
    sum,
    mean: (column) =>
      figure(byEntity() ? clusteredMean(clusters({ [column]: 1 })) : meanInterval(momentsOf(column)), rows, { [column]: 1 }),
    share(part, of) {
      const n = Math.round(sum(of))
      const estimate = byEntity()
        ? clusteredShare(clusters({ [part]: 1 }, { [of]: 1 }).filter((entity) => entity.rows > 0))
        : wilson(Math.round(sum(part)), n)
      return figure(estimate, n, { [part]: 1 }, { [of]: 1 })
    },
    ratio: (part, of) => figure(clusteredMean(clusters(part, of)), rows, part, of),
    weightOf: (of) => (withSpread ? { entities: effectiveEntities(clusters({}, of)), residuals: null } : undefined),
  }
}

function grown(values: Float64Array): Float64Array<ArrayBuffer> {
  const twice = new Float64Array(values.length * 2)
  twice.set(values)
  return twice
}
