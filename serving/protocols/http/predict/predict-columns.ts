import { predictionIdPrefix } from '../../../../monitoring/prediction-log/prediction-id.ts'
import { memoizeWeak } from '../../../../kernel/memoize-weak.ts'
import type { ServicePlan } from '../../../../kernel/service-plan.ts'
import type { Column, ValueType } from '../../../../kernel/values/value-type.ts'
import type { Predicted } from '../../../predict/predict.ts'
import { firstGroup } from '../../../predict/predict.ts'
import { requestIdJson } from '../../../traffic/request-id.ts'
import type { ArrowField } from '../../../../runtime/arrow/arrow-schema.ts'
import { arrowStream } from '../../../../runtime/arrow/arrow-stream.ts'
import type { RouteAnswer } from '../call.ts'
import { eventTimeFields, featureColumnsWriter } from '../features/feature-members.ts'
import { featureTable } from '../features/feature-table.ts'
import { joinedBody } from '../response/joined-body.ts'
import { arrowType, jsonType } from '../request/media-type.ts'
import { columnsWriter, outputColumns, statusesJson } from '../features/value-columns.ts'

const outputsWriter = memoizeWeak((outputs: readonly Column[]) => columnsWriter(outputs))

/**
 * Predictions by column: as JSON, or as an Arrow table with the same columns. The table has the prediction ids and the
 * outputs; other columns are named by their place in the JSON, such as `features.lastDelay`.
 *
 * @param base of the prediction ids
 * @param head the other members, which JSON begins with, and which are the metadata of the table
 */
export function predictColumns(
  type: typeof jsonType | typeof arrowType,
  predicted: Predicted,
  include: readonly string[],
  base: string,
  head: string,
): RouteAnswer {
  const { service, outputs } = firstGroup(predicted).model
  const { groups, predictions } = predicted
  const table = featureTable(groups, predictions.length)
  const ofOutputs = outputColumns(outputs, predictions)
  const ofFeatures = include.includes('features') ? table.columns() : null
  const eventTimes = include.includes('eventTimes')
  const outputStatuses = ofOutputs.some(({ statuses }) => statuses !== null) ? `,"outputStatuses":${statusesJson(outputs, ofOutputs)}` : ''
  const statuses = ofFeatures === null ? '' : `,"statuses":${statusesJson(table.features, ofFeatures)}`
  if (type === jsonType) {
    const features =
      ofFeatures === null
        ? []
        : [
            ',"features":',
            ...(table.features === service.features ? featureColumnsWriter(service) : columnsWriter(table.features))(ofFeatures),
            statuses,
          ]
    const times = eventTimes ? `,"eventTimes":${table.eventTimesJson()}` : ''
    const ids = predictionIdsJson(base, predictions.length)
    const texts = [
      head,
      ',"predictionIds":[',
      ids,
      '],"predictions":',
      ...outputsWriter(outputs)(ofOutputs),
      outputStatuses,
      ...features,
      times,
      '}',
    ]
    return { status: 200, body: joinedBody(texts) }
  }
  const prefix = predictionIdPrefix(base)
  const columns = [
    predictions.map((_, row) => `${prefix}${row}`),
    ...[...ofOutputs, ...(ofFeatures ?? [])].map(({ values }) => values),
    ...(eventTimes ? table.eventTimes() : []),
  ]
  const included = { features: ofFeatures !== null, eventTimes }
  const fields = table.features === service.features ? fieldsFor(outputs, service, included) : fieldsOf(outputs, table.features, included)
  const body = arrowStream(fields, columns, predictions.length, `${head}${outputStatuses}${statuses}}`)
  return { status: 200, body, contentType: arrowType }
}

/** The fields of one version, by `include` of a request. A version keeps its service. */
const fieldsByInclude = memoizeWeak((_outputs: readonly Column[]) => new Map<string, readonly ArrowField[]>())

function fieldsFor(
  outputs: readonly Column[],
  { features }: ServicePlan,
  include: { readonly features: boolean; readonly eventTimes: boolean },
): readonly ArrowField[] {
  const known = fieldsByInclude(outputs)
  const key = `${include.features} ${include.eventTimes}`
  let fields = known.get(key)
  if (fields === undefined) {
    fields = fieldsOf(outputs, features, include)
    known.set(key, fields)
  }
  return fields
}

function fieldsOf(
  outputs: readonly Column[],
  features: readonly Column<ValueType>[],
  include: { readonly features: boolean; readonly eventTimes: boolean },
): readonly ArrowField[] {
  return [
    { name: 'predictionId', type: { kind: 'string' }, nullable: false },
    ...outputs.map(({ name, type }) => ({ name, type, nullable: false })),
    ...(include.features ? features.map(({ name, type }) => ({ name: `features.${name}`, type, nullable: true })) : []),
    ...(include.eventTimes ? eventTimeFields(features) : []),
  ]
}

/** The ids as the elements of a JSON array. */
export function predictionIdsJson(base: string, rows: number): string {
  const prefix = predictionIdPrefix(requestIdJson(base).slice(0, -1))
  let ids = `${prefix}0"`
  for (let row = 1; row < rows; row++) ids += `,${prefix}${row}"`
  return ids
}
