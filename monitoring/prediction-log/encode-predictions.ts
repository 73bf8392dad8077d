import { decodeKey } from '../../kernel/values/entity-key.ts'
import { frontierText } from '../../kernel/states/frontier.ts'
import type { ServedEntity, ServicePlan, ServiceValues } from '../../kernel/service-plan.ts'
import { Status, statusNames } from '../../kernel/states/state.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { countsJson, valueToJson } from '../../kernel/values/value-json.ts'
import type { Column, CountsValue, Value, ValueType } from '../../kernel/values/value-type.ts'
import type { LoggedPrediction } from './columns.ts'
import { loggedEntity } from '../../materializer/erase/logged-entity.ts'
import { parseSnapshot } from '../../runtime/postgres/snapshot-bounds.ts'
import { memoizeWeak } from '../../kernel/memoize-weak.ts'
import { predictionIdPrefix } from './prediction-id.ts'
import type { ReadOrigin } from './provenance.ts'
import type { TakenSnapshot } from './snapshot-tracker.ts'
import { stageMicros } from './logged-times.ts'
import type { LoggedRead, NotedPredictions } from './noted-predictions.ts'

/**
 * A buffered request with its time, latency and snapshot. It does not keep the bytes alive that the connection
 * received.
 */
export interface KeptPredictions extends Omit<NotedPredictions, 'read'> {
  readonly read: Omit<LoggedRead, 'rows' | 'origins'> & {
    readonly rows: readonly Pick<ServiceValues, 'values' | 'statuses'>[]
    readonly origins: readonly (readonly ReadOrigin[])[]
  }
  /** When it was answered, epoch microseconds. */
  readonly at: number
  readonly latencyMicros: number
  readonly ended: TakenSnapshot
}

/**
 * One row for each entity. Values read back to the bit (`valueToJson`).
 *
 * @param snapshot the transactions that have ended, where the request has no snapshot of its own
 */
export function* encodePredictions(kept: KeptPredictions, snapshot: string): Generator<LoggedPrediction> {
  const { service, read, outputs, predictions } = kept
  const write = writerOf(service)
  const output = outputsOf(outputs)
  const prefix = predictionIdPrefix(kept.predictionBase)
  const stages = kept.times === undefined ? null : stageMicros(kept.times)
  const ended = parseSnapshot(kept.ended.snapshot ?? snapshot)
  for (const [index, entity] of read.entities.entries()) {
    const row = read.rows[index]
    if (row === undefined) return
    const rowInRequest = kept.rows[index] ?? index
    yield {
      at: kept.at,
      requestId: kept.requestId,
      predictionId: prefix + String(rowInRequest),
      entity: rowInRequest,
      model: kept.model,
      version: kept.version,
      service: service.id,
      serviceFingerprint: service.fingerprint,
      asOf: read.asOf,
      entities: entitiesOf(service, entity),
      keys: write.keys(keyValues(service, entity)),
      request: write.request(entity.request),
      features: write.features(row.values),
      statuses: statusesJson(service, row.statuses),
      reads: write.reads(read.origins[index] ?? []),
      outputs: output(predictions[index] ?? []),
      latencyMicros: kept.latencyMicros,
      apiKey: kept.apiKey,
      degraded: read.degraded,
      skewed: read.skewed,
      snapshot: ended,
      role: kept.role,
      experiment: kept.experiment,
      variant: kept.variant,
      bypassed: kept.bypassed ?? null,
      stages,
    }
  }
}

const outputsOf = memoizeWeak((outputs: readonly Column[]) => record(outputs))

const writerOf = memoizeWeak((service: ServicePlan) => {
  const uses = service.uses.map(({ plan, alias }) => JSON.stringify({ view: plan.id, alias, fingerprint: plan.fingerprint }).slice(0, -1))
  return {
    keys: record(service.keys),
    request: record(service.request),
    features: record(service.features),
    reads: (origins: readonly ReadOrigin[]) =>
      `[${origins
        .map(({ from, frontier, eventTime }, use) => {
          const seen = frontier === null ? 'null' : `"${frontierText(frontier)}"`
          return `${uses[use]},"from":"${from}","frontier":${seen},"eventTime":${eventTime === null ? 'null' : `"${formatTimestamp(eventTime)}"`}}`
        })
        .join()}]`,
  }
})

/** Compiles a writer of a JSON object of named values, each written by `valueToJson`. */
function record(columns: readonly Column<ValueType>[]): (values: readonly (Value | null)[]) => string {
  const names = columns.map(({ name }) => `${JSON.stringify(name)}:`)
  const writers = columns.map(({ type }) => valueText(type))
  return (values) => `{${names.map((name, i) => name + (writers[i] as (typeof writers)[number])(values[i] ?? null)).join()}}`
}

function valueText(type: ValueType): (value: Value | null) => string {
  // a fast path for the most frequent types
  if (type.kind === 'bool' || type.kind === 'int32') return String
  if (type.kind === 'float32' || type.kind === 'float64')
    return (value) => (value === null || Number.isFinite(value) ? `${value as number | null}` : `"${value as number}"`)
  if (type.kind === 'counts') return (value) => (value === null ? 'null' : countsJson(value as CountsValue))
  return (value) => JSON.stringify(valueToJson(type, value))
}

function statusesJson({ features }: ServicePlan, statuses: ServiceValues['statuses']): string {
  let text = ''
  for (let f = 0; f < statuses.length; f++) {
    const status = statuses[f] as Status
    if (status !== Status.present) text += `${text === '' ? '' : ','}${JSON.stringify(features[f]?.name)}:"${statusNames[status]}"`
  }
  return `{${text}}`
}

/** By index of the service's `keys`. */
export function keyValues(service: ServicePlan, entity: ServedEntity): (Value | null)[] {
  return service.keys.map(({ name }) => {
    for (const [u, { plan, key }] of service.uses.entries()) {
      const part = key.indexOf(name)
      if (part >= 0) return decodeKey(plan.key, entity.keys[u] ?? '')[part] ?? null
    }
    return null
  })
}

/** Every entity that was read for a row, each once. */
export function entitiesOf({ uses }: ServicePlan, { keys }: ServedEntity): Buffer[] {
  const named = new Map<string, Buffer>()
  for (const [u, { plan }] of uses.entries()) {
    const [name, key = ''] = [plan.spec.entity.name, keys[u]]
    // an entity without a key identifies nothing
    if (plan.key.length > 0) named.set(`${name} ${key}`, loggedEntity(name, key))
  }
  return [...named.values()]
}
