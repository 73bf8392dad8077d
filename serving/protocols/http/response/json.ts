import type { ServiceFeature, ServiceValues } from '../../../../kernel/service-plan.ts'
import { allPresent, Status, statusNames } from '../../../../kernel/states/state.ts'
import { canSayAll, jsonCanSay, recordWriter } from '../../../value-text.ts'

export interface ServiceValuesWriter {
  features(row: ServiceValues): string
  /** A value that JSON cannot say is null there and `INVALID` here. */
  statuses(row: ServiceValues): string
  eventTimes(row: ServiceValues): string
}

export function serviceValuesWriter(features: readonly ServiceFeature[]): ServiceValuesWriter {
  const status = statusWriter(features.map(({ name }) => name))
  const time = recordWriter(features.map(({ name }) => ({ name, type: { kind: 'timestamp' } })))
  const value = recordWriter(features)
  return {
    features: (row) => value(row.values),
    statuses: status,
    eventTimes: (row) => time(row.eventTimes),
  }
}

/** Compiled text of the statuses of a row, with texts made in advance: most often all are PRESENT. */
function statusWriter(names: readonly string[]): (row: ServiceValues) => string {
  const texts = names.map((name, i) => statusNames.map((status) => `${i === 0 ? '{' : ','}${JSON.stringify(name)}:"${status}"`))
  const present = allPresent(names.length)
  const presentText = `${texts.map((ofName) => ofName[Status.present]).join('')}}`
  if (names.length === 0) return () => '{}'
  return ({ statuses, values }) => {
    if (statuses === present && canSayAll(values)) return presentText
    let text = ''
    for (let i = 0; i < texts.length; i++) {
      const status = jsonCanSay(values[i] ?? null) ? (statuses[i] as Status) : Status.invalid
      text += (texts[i] as readonly string[])[status] as string
    }
    return `${text}}`
  }
}
