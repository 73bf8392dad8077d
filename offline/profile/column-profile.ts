import type { Value, ValueType } from '../../kernel/values/value-type.ts'
import { isNumeric, typeName } from '../../kernel/values/value-type.ts'
import type { EntitySums } from '../../statistics/clustered-shares.ts'
import { addEntity, createEntitySums } from '../../statistics/clustered-shares.ts'
import type { ColumnBins } from '../../statistics/column-bins.ts'
import { binCount, binOf, categoryBins, categoryText, defaultNumberBins, numberBins } from '../../statistics/column-bins.ts'

/** The distribution of a column, with which later values of the column are compared. */
export interface ColumnProfile {
  readonly name: string
  /** As `typeName` prints it. */
  readonly type: string
  readonly bins: ColumnBins
  /** Over the bins, of the sampled rows. */
  readonly sums: EntitySums
  /** Of finite values; null where there are none. */
  readonly numbers: NumberProfile | null
}

export interface NumberProfile {
  readonly min: number
  readonly max: number
  readonly mean: number
  /** Of a sample (n - 1); null where there are fewer than two values. */
  readonly deviation: number | null
  /** The values at the shares 0.005, 0.015, … 0.995 of the sampled ones. */
  readonly quantiles: readonly number[]
}

/** Exact figures of all rows, where they are known. */
export type KnownNumbers = Omit<NumberProfile, 'quantiles'>

/** The rows that share an entity, as numbers of rows. */
export type EntityRows = readonly (readonly number[])[]

export function entityRows(entities: readonly string[]): EntityRows {
  const rows = new Map<string, number[]>()
  for (const [row, entity] of entities.entries()) {
    const own = rows.get(entity)
    if (own === undefined) rows.set(entity, [row])
    else own.push(row)
  }
  return [...rows.values()]
}

/** @param keys the entities of each key */
export function mostEntities(keys: readonly EntityRows[]): number {
  return Math.max(0, ...keys.map(({ length }) => length))
}

/**
 * @param values by row
 * @param known absent: the figures of these values
 */
export function profileColumn(
  column: { readonly name: string; readonly type: ValueType },
  values: readonly (Value | null)[],
  entities: EntityRows,
  known?: KnownNumbers | null,
): ColumnProfile {
  const { name, type } = column
  const finite = isNumeric(type) ? finiteValues(values) : new Float64Array(0)
  const numbers = finite.length === 0 ? null : { ...(known ?? knownNumbers(finite)), quantiles: quantilesOf(finite) }
  const bins = binsOf(type, values, finite, numbers)
  return { name, type: typeName(type), bins, sums: entitySums(bins, values, entities), numbers }
}

export function entitySums(bins: ColumnBins, values: readonly (Value | null)[], entities: EntityRows): EntitySums {
  const sums = createEntitySums(binCount(bins))
  for (const rows of entities)
    addEntity(
      sums,
      rows.map((row) => binOf(bins, values[row] as Value | null)),
    )
  return sums
}

/** Ascending. */
export function finiteValues(values: readonly (Value | null)[]): Float64Array {
  const finite = new Float64Array(values.length)
  let count = 0
  for (const value of values) {
    const number = value === null ? Number.NaN : Number(value)
    if (Number.isFinite(number)) finite[count++] = number
  }
  return finite.subarray(0, count).sort()
}

/** @param ascending at least one value */
export function knownNumbers(ascending: Float64Array): KnownNumbers {
  const count = ascending.length
  const mean = ascending.reduce((sum, value) => sum + value / count, 0)
  const squares = ascending.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  const deviation = count < 2 ? null : Math.sqrt(squares / (count - 1))
  return { min: ascending[0] as number, max: ascending[count - 1] as number, mean, deviation }
}

const quantileCount = 100

function quantilesOf(ascending: Float64Array): number[] {
  const last = ascending.length - 1
  return Array.from(
    { length: quantileCount },
    (_, i) => ascending[Math.min(last, Math.floor(((i + 0.5) / quantileCount) * ascending.length))] as number,
  )
}

function binsOf(type: ValueType, values: readonly (Value | null)[], ascending: Float64Array, numbers: NumberProfile | null): ColumnBins {
  if (type.kind === 'bool' || type.kind === 'string') return categoryBins(categories(values))
  if (!isNumeric(type)) return { kind: 'category', values: [] }
  if (type.kind === 'int32' || type.kind === 'int64') {
    const counts = categories(values, defaultNumberBins)
    if (counts.size > 0 && counts.size <= defaultNumberBins) return categoryBins(counts)
  }
  return numberBins(ascending, numbers ?? undefined)
}

/** @param most ends early where there are more distinct values */
function categories(values: readonly (Value | null)[], most = Number.POSITIVE_INFINITY): Map<string, number> {
  const counts = new Map<string, number>()
  for (const value of values) {
    if (value === null || typeof value === 'object') continue
    const text = categoryText(value)
    counts.set(text, (counts.get(text) ?? 0) + 1)
    if (counts.size > most) break
  }
  return counts
}

/** A profile as JSON keeps it. */
export interface StoredProfile extends Omit<ColumnProfile, 'sums'> {
  readonly sums: {
    readonly entities: number
    readonly squares: number
    readonly counts: readonly number[]
    readonly weighted: readonly number[]
    /** The bins × bins products, row by row. */
    readonly products: readonly number[]
  }
}

export function storeProfile(profile: ColumnProfile): StoredProfile {
  const { entities, squares, counts, weighted, products } = profile.sums
  return { ...profile, sums: { entities, squares, counts: [...counts], weighted: [...weighted], products: [...products] } }
}

export function restoreProfile({ sums, ...profile }: StoredProfile): ColumnProfile {
  const { entities, squares, counts, weighted, products } = sums
  return {
    ...profile,
    sums: {
      bins: counts.length,
      entities,
      squares,
      counts: Float64Array.from(counts),
      weighted: Float64Array.from(weighted),
      products: Float64Array.from(products),
    },
  }
}
