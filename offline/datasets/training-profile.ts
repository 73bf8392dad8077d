import { gunzipSync, gzipSync } from 'node:zlib'
import { columnKeys } from '../../kernel/column-keys.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Status } from '../../kernel/states/state.ts'
import { statusNames } from '../../kernel/states/state.ts'
import { valueFromJson, valueToJson } from '../../kernel/values/value-json.ts'
import type { Column, Value, ValueType } from '../../kernel/values/value-type.ts'
import type { JoinedBatch } from './assemble.ts'
import type { ColumnProfile, KnownNumbers } from '../profile/column-profile.ts'
import { entityRows, mostEntities, profileColumn } from '../profile/column-profile.ts'
import type { ColumnStatistics } from '../profile/column-statistics.ts'
import type { RowSample } from '../profile/row-sampler.ts'
import { RowSampler } from '../profile/row-sampler.ts'

/** The distribution of the features in a training set: its baseline. Of a split set, of `train`. */
export interface TrainingProfile {
  readonly rows: number
  readonly sampledRows: number
  /** Distinct ones among the sampled rows, by the key of the service that has most. */
  readonly entities: number
  readonly columns: readonly TrainingColumn[]
  /** Some sampled rows, for predictions: values by index of the service's features. */
  readonly sample: Buffer
}

export interface TrainingColumn extends ColumnProfile {
  /** How many rows have each status, by its name; statuses without rows are absent. */
  readonly statuses: Readonly<Record<string, number>>
}

export interface TrainingProfiler {
  /** @param rows of the batch; null: all */
  update(batch: Pick<JoinedBatch, 'values' | 'statuses' | 'spine' | 'length'>, rows: readonly number[] | null): void
  /** @param statistics of the same rows, by column of the training set */
  result(statistics: readonly ColumnStatistics[]): TrainingProfile
}

const keptRows = 5_000

/** @param spine the columns of the batches' `spine` */
export function createTrainingProfiler(service: ServicePlan, spine: readonly Column[]): TrainingProfiler {
  const { list, ofFeature } = columnKeys(service)
  const slots = list.map((key) => key.columns.map((name) => spine.findIndex((column) => column.name === name)))
  const sampler = new RowSampler(service.features.length, statusNames.length, list.length)
  return {
    update({ values, statuses, spine: columns, length }, rows) {
      const keys = slots.map((key) => key.map((slot) => columns[slot] ?? []))
      if (rows === null) return sampler.update(values, statuses, keys, length)
      const chosen = <T>(all: readonly (readonly T[])[]): T[][] => all.map((column) => rows.map((row) => column[row] as T))
      sampler.update(chosen(values), chosen(statuses), keys.map(chosen), rows.length)
    },
    result(statistics) {
      const sample = sampler.result()
      const entities = sample.entities.map(entityRows)
      const known = new Map(statistics.map((column) => [column.column, column]))
      const columns = service.features.map((feature, f): TrainingColumn => {
        const profile = profileColumn(
          feature,
          sample.columns[f] ?? [],
          entities[ofFeature[f] ?? 0] ?? [],
          knownNumbers(known.get(feature.name)),
        )
        return { ...profile, statuses: named(sampler.statuses[f] ?? []) }
      })
      return {
        rows: sample.rows,
        sampledRows: sample.entities[0]?.length ?? 0,
        entities: mostEntities(entities),
        columns,
        sample: compressRows(service.features, sample),
      }
    },
  }
}

function knownNumbers(statistics: ColumnStatistics | undefined): KnownNumbers | null {
  const { min, max, mean, stddev } = statistics?.numbers ?? { min: null, max: null, mean: null, stddev: null }
  return min === null || max === null || mean === null ? null : { min: Number(min), max: Number(max), mean, deviation: stddev }
}

function named(counts: ArrayLike<number>): Record<string, number> {
  return Object.fromEntries(
    statusNames.flatMap((name, status) => {
      const count = counts[status as Status] ?? 0
      return count === 0 ? [] : [[name, count] as const]
    }),
  )
}

/** The entity of each key as a number, then the values: no key is kept. */
function compressRows(columns: readonly Column<ValueType>[], { entities, columns: values }: RowSample): Buffer {
  const numbered = entities.map((key) => {
    const numbers = new Map<string, number>()
    return key.slice(0, keptRows).map((entity) => {
      const number = numbers.get(entity) ?? numbers.size
      numbers.set(entity, number)
      return number
    })
  })
  const json = (numbered[0] ?? []).map((_, row) => {
    return [numbered.map((key) => key[row]), ...columns.map(({ type }, c) => valueToJson(type, values[c]?.[row] ?? null))]
  })
  return gzipSync(JSON.stringify(json))
}

/** A row of a baseline. */
export interface SampledRow {
  /** By key of the set's service (`columnKeys`). Rows with the same text are of one entity. */
  readonly entities: readonly string[]
  /** By index of the columns. */
  readonly values: readonly (Value | null)[]
}

/** @param columns those that the rows were compressed with */
export function readCompressedRows(columns: readonly Column<ValueType>[], sample: Uint8Array): SampledRow[] {
  const json: unknown = JSON.parse(gunzipSync(sample).toString())
  if (!Array.isArray(json)) throw new LockstepError('INTERNAL', 'The rows of a baseline are not a list.')
  return json.map((row: readonly unknown[]) => ({
    entities: (Array.isArray(row[0]) ? row[0] : [row[0]]).map(String),
    values: columns.map(({ name, type }, c): Value | null => valueFromJson(type, row[c + 1] ?? null, `the sampled feature "${name}"`)),
  }))
}
