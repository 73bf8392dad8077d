import { didYouMean } from '../../kernel/did-you-mean.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { isRecord } from '../../kernel/is-record.ts'
import type { SinkSpec } from '../../kernel/specs/sink-spec.ts'
import { streamName } from '../../kernel/specs/stream-spec.ts'
import { show } from '../../kernel/values/value-type.ts'
import type { PipelineSpec } from '../pipeline-spec.ts'
import { versionOf } from './batch.ts'
import type { Description } from './definition.ts'
import { checkBody, checkKind, define, describe } from './definition.ts'
import type { Model } from './model.ts'
import { checkName } from './names.ts'
import { sinkSpec } from './sink.ts'
import type { Source } from './source.ts'
import { checkGroup } from './stream.ts'

/** Streaming inference. */
export interface Pipeline<N extends string = string> {
  readonly kind: 'pipeline'
  readonly name: N
  readonly source: Source
  readonly model: Model
  readonly spec: PipelineSpec
  readonly described: Description
}

export interface PipelineOptions {
  /** The source whose stream is read. Each message becomes an event of the source before it is predicted. */
  readonly from: Source
  readonly model: Model
  /** The version or alias that predicts. Default: each message is routed as a request without a version is. */
  readonly version?: number | string
  /** Where answers go: `redisSink('scores')`, `natsSink({ stream, subject })`, `kafkaSink({ topic })`. */
  readonly to: SinkSpec
  /**
   * For fields that the model's service needs, the column of the source: `{ airport: 'origin' }`. Default: the column
   * of the source's key, or of the same name.
   */
  readonly entities?: Readonly<Record<string, string>>
  /** The column, or columns, whose values are the key of an answer. Default: the key of the source. */
  readonly key?: string | readonly string[]
  /** The consumer group. Default: `lockstep_pipeline_` and the pipeline's name. */
  readonly group?: string
  /** Keep answers in PostgreSQL, so that a message that comes again gets the same answer. Default: false. */
  readonly ledger?: boolean
  /**
   * How often a message is predicted that times out, or in whose run the model's process ends, until it becomes a dead
   * letter: 1 to 100. Default: 5. Between tries it waits 0.5 s, then twice as long each time, up to 30 s.
   */
  readonly tries?: number
}

const fields = ['from', 'model', 'version', 'to', 'entities', 'key', 'group', 'ledger', 'tries']

/**
 * Declares a pipeline: workers read a stream, predict each message and write the answers to a stream.
 *
 * @example
 * export const scoreFlights = pipeline('score_flights', {
 *   from: landings, model: delayModel, to: kafkaSink({ topic: 'flights.scored' }),
 * })
 * @throws LockstepError `INVALID_NAME`, `DEFINITIONS_INVALID`
 */
export function pipeline<const N extends string>(name: N, body: PipelineOptions & Description): Pipeline<N> {
  const what = `The pipeline "${checkName(name, 'A pipeline')}"`
  checkBody(body, what, fields)
  const of = what.replace('The', 'the')
  checkKind(body.from, ['source'], `The "from" of ${of}`, 'a source')
  checkKind(body.model, ['model'], `The model of ${of}`, 'a model')
  const { from, model, ledger = false, tries } = body
  if (from.stream === null)
    throw invalid(
      `${what} reads the source "${from.name}", which has no stream; give the source one, as in stream: redisStream('landings').`,
    )
  if (body.to?.kind === from.stream.kind && body.to.stream === from.stream.stream)
    throw invalid(`${what} writes to the stream that it reads, so it would never end; write to another one.`)
  if (body.to?.kind === 'kafka' && body.to.transactions === true && from.stream.kind !== 'kafka')
    throw invalid(
      `${what} writes to Kafka topic "${body.to.stream}" in transactions, which must read from Kafka, too, and the source "${from.name}" has a ${streamName(from.stream)}. Remove "transactions" from the sink.`,
    )
  if (typeof ledger !== 'boolean') throw invalid(`${what} has the ledger ${show(ledger)}; write true or false.`)
  if (tries !== undefined && !(Number.isInteger(tries) && tries >= 1 && tries <= 100))
    throw invalid(`${what} has the tries ${show(tries)}; write a whole number from 1 to 100.`)
  const columns = [...new Set([...Object.values(from.key), from.eventTime, ...Object.keys(from.columns)])]
  const spec: PipelineSpec = {
    name,
    source: from.name,
    model: model.name,
    version: versionOf(body.version, what),
    sink: sinkSpec(body.to, what),
    entities: entitiesOf(body, columns, what),
    key: keyOf(body, columns, what),
    group: checkGroup(body.group ?? `lockstep_pipeline_${name}`.slice(0, 64), `The group of ${of}`),
    ledger,
    ...(tries === undefined ? {} : { tries }),
  }
  if (spec.group === from.stream.group)
    throw invalid(
      `${what} has the group "${spec.group}" of the source "${from.name}", so each would get only a part of the messages. Choose another.`,
    )
  return define({ kind: 'pipeline', name, source: from, model, spec: Object.freeze(spec), described: describe(body, what) })
}

function entitiesOf({ from, model, entities = {} }: PipelineOptions, columns: readonly string[], what: string): PipelineSpec['entities'] {
  if (!isRecord(entities)) throw invalid(`${what} has the entities ${show(entities)}; write an object, as in { airport: 'origin' }.`)
  const needs = Object.keys(model.service.needs)
  const unknown = Object.keys(entities).find((field) => !needs.includes(field))
  if (unknown !== undefined)
    throw invalid(
      `${what} has the entity field "${unknown}", which the service "${model.service.name}" does not need.${didYouMean(unknown, needs)} It needs ${needs.join(', ')}.`,
    )
  return needs.map((field) => {
    const stated: unknown = entities[field]
    const column = stated ?? from.key[field] ?? field
    if (typeof column === 'string' && columns.includes(column)) return { field, column }
    const reason =
      stated === undefined
        ? `needs the field "${field}" of the service "${model.service.name}", and the source "${from.name}" has no column of that name; say which it is, as in entities: { ${field}: '${columns[0] ?? 'column'}' }.`
        : `takes the field "${field}" from ${show(stated)}, which the source "${from.name}" does not have.${typeof stated === 'string' ? didYouMean(stated, columns) : ''}`
    throw invalid(`${what} ${reason} Its columns are ${columns.join(', ')}.`)
  })
}

function keyOf({ from, key }: PipelineOptions, columns: readonly string[], what: string): string[] {
  const stated: readonly unknown[] = key === undefined ? Object.values(from.key) : Array.isArray(key) ? key : [key]
  const known = stated.filter((column): column is string => typeof column === 'string' && columns.includes(column))
  if (known.length === stated.length && known.length > 0) return known
  throw invalid(`${what} has the key ${show(key)}; name columns of the source "${from.name}": ${columns.join(', ')}.`)
}

function invalid(message: string): LockstepError {
  return new LockstepError('DEFINITIONS_INVALID', message)
}
