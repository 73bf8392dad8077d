import type { ServicePlan, ServiceRow } from '../../../../kernel/service-plan.ts'
import { Status } from '../../../../kernel/states/state.ts'
import type { Column, Value, ValueType } from '../../../../kernel/values/value-type.ts'
import { typeName } from '../../../../kernel/values/value-type.ts'
import type { PredictedGroup } from '../../../predict/predict.ts'
import { columnWriter, eventTimesJson, featureColumns, featureEventTimes } from './value-columns.ts'
import type { ValueColumn } from './value-columns.ts'

/** The features of all rows of a request, by column. */
export interface FeatureTable {
  readonly features: readonly Column<ValueType>[]
  /** By index of the features. */
  columns(): ValueColumn[]
  eventTimes(): readonly (readonly (number | null)[])[]
  eventTimesJson(): string
}

export function featureTable(groups: readonly PredictedGroup[], rows: number): FeatureTable {
  const [first] = groups
  if (first !== undefined && groups.every(({ model }) => model.service === first.model.service))
    return ofService(first.model.service, groups.length === 1 ? first.read.rows : inOrder(groups, rows))
  return ofServices(groups, rows)
}

function ofService(service: ServicePlan, rows: readonly ServiceRow[]): FeatureTable {
  return {
    features: service.features,
    columns: () => featureColumns(service, rows),
    eventTimes: () => featureEventTimes(service, rows),
    eventTimesJson: () => eventTimesJson(service, rows),
  }
}

function inOrder(groups: readonly PredictedGroup[], total: number): ServiceRow[] {
  const all = new Array<ServiceRow>(total)
  for (const { rows, read } of groups) for (const [i, row] of rows.entries()) all[row] = read.rows[i] as ServiceRow
  return all
}

/**
 * The features of several services. A row whose service lacks a feature has null there. If two services have a feature
 * of one name with different types, the second column has the service in its name: `lastDelay (flight@2)`.
 */
function ofServices(groups: readonly PredictedGroup[], total: number): FeatureTable {
  const features: Column<ValueType>[] = []
  const placed = groups.map(({ model: { service } }) =>
    service.features.map(({ name, type }) => {
      const known = features.findIndex((each) => each.name === name)
      const isNew = known < 0
      if (!isNew && typeName((features[known] as Column<ValueType>).type) === typeName(type)) return known
      const own = isNew ? name : `${name} (${service.id})`
      const before = features.findIndex((each) => each.name === own)
      return before < 0 ? features.push({ name: own, type }) - 1 : before
    }),
  )
  const spread = <T>(empty: T, ofGroup: (group: PredictedGroup) => readonly (readonly T[] | null)[]): (T[] | null)[] => {
    const all: (T[] | null)[] = features.map(() => null)
    for (const [g, group] of groups.entries()) {
      for (const [f, values] of ofGroup(group).entries()) {
        if (values === null) continue
        const at = placed[g]?.[f] as number
        const column = (all[at] ??= new Array<T>(total).fill(empty))
        for (const [i, row] of group.rows.entries()) column[row] = values[i] as T
      }
    }
    return all
  }
  const nulls = new Array<null>(total).fill(null)
  const eventTimes = () =>
    spread<number | null>(null, ({ model, read }) => featureEventTimes(model.service, read.rows)).map((column) => column ?? nulls)
  return {
    features,
    columns() {
      const ofGroups = new Map(groups.map((group) => [group, featureColumns(group.model.service, group.read.rows)]))
      const values = spread<Value | null>(null, (group) => (ofGroups.get(group) ?? []).map((column) => column.values))
      const statuses = spread<Status>(Status.present, (group) => (ofGroups.get(group) ?? []).map((column) => column.statuses))
      return features.map((_, f) => ({ values: values[f] ?? nulls, statuses: statuses[f] ?? null }))
    },
    eventTimes,
    eventTimesJson: () => timesJson(features, eventTimes()),
  }
}

const timeColumn = columnWriter({ kind: 'timestamp' })

function timesJson(features: readonly Column<ValueType>[], times: readonly (readonly (number | null)[])[]): string {
  return `{${features.map(({ name }, f) => `${JSON.stringify(name)}:${timeColumn(times[f] ?? [])}`).join()}}`
}
