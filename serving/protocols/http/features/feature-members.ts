import { z } from 'zod'
import { memoizeWeak } from '../../../../kernel/memoize-weak.ts'
import type { ServicePlan } from '../../../../kernel/service-plan.ts'
import { formatTimestamp } from '../../../../kernel/values/time.ts'
import type { Column, ValueType } from '../../../../kernel/values/value-type.ts'
import { typeName } from '../../../../kernel/values/value-type.ts'
import type { FeatureRead } from '../../../features/read-features.ts'
import { serviceValuesWriter } from '../response/json.ts'
import { requestIdJson } from '../../../traffic/request-id.ts'
import type { ArrowField } from '../../../../runtime/arrow/arrow-schema.ts'
import { columnsWriter } from './value-columns.ts'

/** The largest number of parts that a request may name in `include`: more than there are. */
export const maxIncluded = 10

export const formatSchema = z
  .enum(['rows', 'columns'])
  .optional()
  .describe('How JSON has the values: an object for each entity (rows, the default), or an array for each feature and output (columns)')

export const featuresWriter = memoizeWeak((service: ServicePlan) => serviceValuesWriter(service.features))
export const featureColumnsWriter = memoizeWeak((service: ServicePlan) => columnsWriter(service.features))

/** The columns of an Arrow table: the features, and their event times if the request asks for them. */
export const featureArrowFields = memoizeWeak(({ features }: ServicePlan) => {
  const own = features.map(({ name, type }): ArrowField => ({ name, type, nullable: true }))
  return { features: own, withEventTimes: [...own, ...eventTimeFields(features)] }
})

export function eventTimeFields(features: readonly Column<ValueType>[]): ArrowField[] {
  return features.map(({ name }) => ({ name: `eventTimes.${name}`, type: { kind: 'timestamp' }, nullable: true }))
}

/** The members that say when an answer holds, how it was read, and which request it answers. */
export function momentJson(
  { asOf, skewed, degraded, staleMs, late }: Pick<FeatureRead, 'asOf' | 'skewed' | 'degraded' | 'staleMs' | 'late'>,
  requestId: string,
): string {
  return `"asOf":"${formatTimestamp(asOf)}"${skewed ? ',"skewed":true' : ''}${degraded ? degradedJson(staleMs) : ''}${late.length > 0 ? `,"late":${JSON.stringify(late)}` : ''},"requestId":${requestIdJson(requestId)}`
}

function degradedJson(staleMs: number | null): string {
  return `,"degraded":true${staleMs === null ? '' : `,"staleMs":${Math.ceil(staleMs)}`}`
}

/** The member `frontiers`, if the request asks for it. */
export function frontiersJson(include: readonly string[] | undefined, read: FeatureRead): string {
  return include?.includes('frontiers') === true ? `,"frontiers":${JSON.stringify(Object.fromEntries(read.frontiers()))}` : ''
}

const typesOf = memoizeWeak((service: ServicePlan) => typesText(service.features))

/**
 * The member `types`, if the request asks for it: with the type of each feature a client can read its values back
 * exactly.
 */
export function typesJson(include: readonly string[] | undefined, service: ServicePlan): string {
  return include?.includes('types') === true ? `,"types":${typesOf(service)}` : ''
}

/** Types by name: `int64`, `list(string)`. */
export function typesText(columns: readonly Column<ValueType>[]): string {
  return JSON.stringify(Object.fromEntries(columns.map(({ name, type }) => [name, typeName(type)])))
}
