import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { isRecord } from '../../kernel/is-record.ts'
import { parseJson } from '../../kernel/values/parse-json.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { Command } from '../command.ts'
import type { EntityValues, ReadFeatures, Takes } from '../find/finder.ts'
import { finderOf } from '../find/finder.ts'
import { plainText } from '../../kernel/values/plain-text.ts'
import { serverOption } from '../remote/server-option.ts'
import { table } from '../text/table.ts'

export const featuresGetCommand: Command = {
  name: 'features get',
  summary: 'Read the features of a service as a server reads them, with status and event time',
  description: [
    'Reads the online store, and the offline history where a server would. The name of a service without a version means its newest version that is ready.',
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
    server: serverOption,
  },
  example: 'lockstep features get flight_features --entity airport=ATL --request distance=594',
  async run(context, input) {
    const asOf = input.time('as-of')
    const read = await finderOf(context, input)
      .features({
        service: input.argument('SERVICE'),
        entities: (takes) => entitiesOf(takes, input.texts('entity'), input.texts('request')),
        asOf: asOf === undefined ? undefined : formatTimestamp(asOf),
      })
      .catch(withOption)
    return { json: read, text: readText(read, context.terminal.width) }
  },
}

/** Names the option of request data that is missing. */
function withOption(error: unknown): never {
  if (!(error instanceof LockstepError) || error.code !== 'MISSING_REQUEST_VALUE') throw error
  const { code, message, details } = error
  throw new LockstepError(code, `${message} Write it as --request ${String(details['field'])}=….`, { cause: error, details })
}

function entitiesOf(takes: Takes, texts: readonly string[], request: readonly string[]): EntityValues[] {
  const common = Object.fromEntries(request.map((text) => pairOf(takes, text, '--request')))
  const example = takes.keys.map((name) => `${name}=…`).join()
  if (texts.length > 0) {
    const entities = texts.map((text) => ({ ...entityOf(takes, text), ...common }))
    const incomplete = entities.findIndex((entity) => takes.keys.some((name) => !Object.hasOwn(entity, name)))
    if (texts.length === 1 || incomplete === -1) return entities
    throw new LockstepError(
      'USAGE',
      `The option "--entity" is "${texts[incomplete]}", which has not all keys of the service "${takes.service}". Write all keys of an entity in one option: --entity ${example}.`,
    )
  }
  if (takes.keys.length === 0) return [common]
  throw new LockstepError('USAGE', `The option "--entity" is missing: the service "${takes.service}" needs --entity ${example}.`)
}

function entityOf(takes: Takes, text: string): EntityValues {
  if (!text.trimStart().startsWith('{'))
    return Object.fromEntries(text.split(/,(?=[A-Za-z_]\w*=)/).map((part) => pairOf(takes, part, '--entity')))
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

function pairOf({ types }: Takes, text: string, option: string): [string, unknown] {
  const at = text.indexOf('=')
  if (at < 1) throw new LockstepError('USAGE', `The option "${option}" is "${text}"; write it as name=value.`)
  const [name, value] = [text.slice(0, at), text.slice(at + 1)]
  const type = types[name] ?? 'string'
  // their texts are how JSON has them
  if (type === 'string' || type === 'timestamp' || type === 'int64') return [name, value]
  try {
    return [name, parseJson(value)]
  } catch {
    return [name, value]
  }
}

function readText({ service, version, asOf, late = [], types, results }: ReadFeatures, width: number | null): string {
  const head = `${service}@${version} as of ${asOf}${late.length > 0 ? `; late: ${late.join(', ')}` : ''}`
  const tables = results.map(({ entity = {}, features, statuses, eventTimes }) => {
    const rows = Object.entries(features).map(([name, value]) => [
      name,
      statuses[name] ?? '',
      eventTimes[name] ?? '',
      valueText(value, types[name]),
    ])
    return `\n${plainText(jsonLine(entity))}\n${table(['FEATURE', 'STATUS', 'EVENT TIME', 'VALUE'], rows, '  ', width)}`
  })
  return [head, ...tables].join('\n')
}

/** What JSON has as a text for exactness is printed as it is. */
function valueText(value: unknown, type: string | undefined): string {
  return typeof value === 'string' && type !== 'string' ? value : jsonLine(value)
}

function jsonLine(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? String(each) : each))
}
