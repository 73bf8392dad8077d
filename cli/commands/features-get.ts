import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { parseJson } from '../../kernel/parse-json.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import { Status, statusNames } from '../../kernel/state.ts'
import { formatTimestamp } from '../../kernel/time.ts'
import { valueToJson } from '../../kernel/value-json.ts'
import type { Value, ValueType } from '../../kernel/value-type.ts'
import { isRecord } from '../../kernel/is-record.ts'
import type { FeatureRead } from '../../serving/features/read-features.ts'
import { readEntities } from '../../serving/features/read-request.ts'
import { jsonCanSay } from '../../serving/protocols/http/json.ts'
import type { Command } from '../command.ts'
import { createFindContext } from '../find-context.ts'
import { plainText } from '../plain-text.ts'
import { table } from '../table.ts'

export const featuresGetCommand: Command = {
  name: 'features get',
  summary: 'Read the features of a service as a server reads them, with status and event time',
  description: [
    'Reads the online store, and the offline history where a server would. A bare name of a service means its newest version that is ready.',
  ],
  arguments: [{ name: 'SERVICE', help: 'The feature service: flight_features, flight_features@1.' }],
  options: {
    entity: {
      value: 'KEY',
      help: 'The key of an entity: airport=ATL; of several parts: shop=7,till=2; or as JSON.',
      many: true,
    },
    request: { value: 'NAME=VALUE', help: 'Request data, for all of the entities.', many: true },
    'as-of': { value: 'TIME', help: 'The moment. Default: now.' },
  },
  example: 'lockstep features get flight_features --entity airport=ATL --request distance=594',
  async run(context, input) {
    const { catalog, features } = await createFindContext(context, await context.catalog())
    const service = catalog.service(input.argument('SERVICE'))
    const request = Object.fromEntries(input.texts('request').map((text) => pairOf(service, text, '--request')))
    const entities = entitiesOf(service, input.texts('entity')).map((entity) => ({ ...entity, ...request }))
    const asOf = input.time('as-of')
    const moment = asOf === undefined ? {} : { asOf: formatTimestamp(asOf) }
    const read = await readEntities(features, catalog, service, { entities, requestId: 'command line', ...moment })
    return { json: readJson(service, entities, read), text: readText(service, entities, read, context.terminal.width) }
  },
}

type Entity = Readonly<Record<string, unknown>>

function entitiesOf(service: ServicePlan, texts: readonly string[]): Entity[] {
  if (texts.length > 0) return texts.map((text) => entityOf(service, text))
  if (service.keys.length === 0) return [{}]
  const example = service.keys.map(({ name }) => `${name}=…`).join()
  throw new LockstepError('USAGE', `The option "--entity" is missing: the service "${service.id}" needs --entity ${example}.`)
}

function entityOf(service: ServicePlan, text: string): Entity {
  if (!text.trimStart().startsWith('{'))
    return Object.fromEntries(text.split(/,(?=[A-Za-z_]\w*=)/).map((part) => pairOf(service, part, '--entity')))
  try {
    const json = parseJson(text)
    if (isRecord(json)) return json
  } catch (cause) {
    throw new LockstepError(
      'USAGE',
      `The option "--entity" is not JSON: ${messageOf(cause)}. Write it as airport=ATL or '{"airport": "ATL"}'.`,
      {
        cause,
      },
    )
  }
  throw new LockstepError('USAGE', `The option "--entity" is not a JSON object. Write it as airport=ATL or '{"airport": "ATL"}'.`)
}

function pairOf(service: ServicePlan, text: string, option: string): [string, unknown] {
  const at = text.indexOf('=')
  if (at < 1) throw new LockstepError('USAGE', `The option "${option}" is "${text}"; write it as name=value.`)
  const [name, value] = [text.slice(0, at), text.slice(at + 1)]
  const type = [...service.keys, ...service.request].find((column) => column.name === name)?.type.kind ?? 'string'
  // their texts are how JSON has them
  if (type === 'string' || type === 'timestamp' || type === 'int64') return [name, value]
  try {
    return [name, parseJson(value)]
  } catch {
    return [name, value]
  }
}

function readJson(service: ServicePlan, entities: readonly Entity[], read: FeatureRead): object {
  const { name, version, fingerprint, features } = service
  const { asOf, skewed, late } = read
  return {
    service: name,
    version,
    fingerprint,
    asOf: formatTimestamp(asOf),
    ...(skewed ? { skewed } : {}),
    ...(late.length > 0 ? { late } : {}),
    results: read.rows.map(({ values, statuses, eventTimes }, e) => ({
      entity: entities[e],
      features: Object.fromEntries(features.map((feature, f) => [feature.name, valueToJson(feature.type, values[f] ?? null)])),
      statuses: Object.fromEntries(
        features.map((feature, f) => [feature.name, statusText(statuses[f] ?? Status.present, values[f] ?? null)]),
      ),
      eventTimes: Object.fromEntries(features.map((feature, f) => [feature.name, timeText(eventTimes[f] ?? null)])),
    })),
  }
}

function readText(service: ServicePlan, entities: readonly Entity[], read: FeatureRead, width: number | null): string {
  const head = `${service.id} as of ${formatTimestamp(read.asOf)}${read.late.length > 0 ? `; late: ${read.late.join(', ')}` : ''}`
  const tables = read.rows.map(({ values, statuses, eventTimes }, e) => {
    const rows = service.features.map(({ name, type }, f) => [
      name,
      statusText(statuses[f] ?? Status.present, values[f] ?? null),
      timeText(eventTimes[f] ?? null) ?? '',
      valueText(type, values[f] ?? null),
    ])
    return `\n${plainText(JSON.stringify(entities[e], (_, each: unknown) => (typeof each === 'bigint' ? String(each) : each)))}\n${table(['FEATURE', 'STATUS', 'EVENT TIME', 'VALUE'], rows, '  ', width)}`
  })
  return [head, ...tables].join('\n')
}

function valueText(type: ValueType, value: Value | null): string {
  const json = valueToJson(type, value)
  return typeof json === 'string' && type.kind !== 'string' ? json : JSON.stringify(json)
}

/** As a server says it of a value that JSON cannot say. */
function statusText(status: Status, value: Value | null): string {
  return statusNames[jsonCanSay(value) ? status : Status.invalid]
}

function timeText(micros: number | null): string | null {
  return micros === null ? null : formatTimestamp(micros)
}
