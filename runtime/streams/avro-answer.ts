import { LockstepError } from '../../kernel/errors.ts'
import { parseJson } from '../../kernel/values/parse-json.ts'
import { parseTimestamp } from '../../kernel/values/time.ts'
import type { Column, ColumnType } from '../../kernel/values/value-type.ts'
import { avroType } from './avro-type.ts'

/** The fields of the answers of a pipeline. */
export interface AnswerShape {
  readonly pipeline: string
  /** The columns of the key. */
  readonly key: readonly string[]
  /** The outputs of the model. */
  readonly outputs: readonly Column[]
}

const text = 'string'
const time = { type: 'long', logicalType: 'timestamp-micros' } as const
const scalar = ['null', 'string', 'long', 'double', 'boolean'] as const
const optional = (type: unknown): unknown => ['null', type]

/**
 * The Avro schema of answers: their members in JSON, of which each that may be absent is null.
 *
 * @throws LockstepError `CONFIG_INVALID` if a column has a name that Avro does not allow
 */
export function answerSchema({ pipeline, key, outputs }: AnswerShape): object {
  const odd = [...key, ...outputs.map(({ name }) => name)].find((name) => !/^[A-Za-z_]\w*$/.test(name))
  if (odd !== undefined)
    throw new LockstepError(
      'CONFIG_INVALID',
      `The pipeline "${pipeline}" cannot write Avro: "${odd}" is no name in Avro, which allows letters, digits and underscores. Rename it, or write JSON.`,
    )
  const record = (name: string, fields: readonly object[]): object => ({ type: 'record', name, fields })
  return {
    ...record('Answer', [
      { name: 'id', type: text },
      { name: 'pipeline', type: text },
      { name: 'key', type: record('Key', key.map((name) => ({ name, type: scalar }))) }, // prettier-ignore
      { name: 'model', type: text },
      { name: 'version', type: 'int' },
      { name: 'role', type: text },
      { name: 'experiment', type: optional(text), default: null },
      { name: 'variant', type: optional(text), default: null },
      { name: 'asOf', type: time },
      { name: 'predictionId', type: text },
      { name: 'prediction', type: record('Prediction', outputs.map(({ name, type }) => ({ name, type: optional(avroTypes[type.kind]) }))) }, // prettier-ignore
      { name: 'outputStatuses', type: optional({ type: 'map', values: text }), default: null },
    ]),
    namespace: `lockstep.${pipeline}`,
  }
}

/** Makes Avro of an answer in JSON. */
export function answerWriter(shape: AnswerShape): (json: string) => Buffer {
  const type = avroType(answerSchema(shape))
  return (json) => {
    const answer = parseJson(json) as Answer
    const { key, prediction, experiment = null, variant = null, outputStatuses = null } = answer
    return type.toBuffer({
      ...answer,
      asOf: BigInt(parseTimestamp(answer.asOf)),
      key: Object.fromEntries(shape.key.map((name) => [name, scalarOf(key[name])])),
      experiment: branch('string', experiment),
      variant: branch('string', variant),
      prediction: Object.fromEntries(shape.outputs.map((output) => [output.name, valueOf(output.type, prediction[output.name] ?? null)])),
      outputStatuses: branch('map', outputStatuses),
    })
  }
}

interface Answer {
  readonly key: Readonly<Record<string, unknown>>
  readonly asOf: string
  readonly experiment?: string
  readonly variant?: string
  readonly prediction: Readonly<Record<string, unknown>>
  readonly outputStatuses?: Readonly<Record<string, string>>
}

const avroTypes: Readonly<Record<ColumnType['kind'], unknown>> = {
  bool: 'boolean',
  int32: 'int',
  int64: 'long',
  float32: 'float',
  float64: 'double',
  string: text,
  timestamp: time,
  vector: { type: 'array', items: optional('float') },
}

/** @param json as an answer has it: what JSON cannot say is null */
function valueOf(type: ColumnType, json: unknown): object | null {
  if (json === null) return null
  if (type.kind === 'int64') return branch('long', BigInt(json as number | bigint))
  if (type.kind === 'timestamp') return branch('long', BigInt(parseTimestamp(json as string)))
  if (type.kind === 'vector') return branch('array', (json as (number | null)[]).map((each) => branch('float', each))) // prettier-ignore
  return branch(avroTypes[type.kind] as string, json)
}

function scalarOf(json: unknown): object | null {
  if (json === null || json === undefined) return null
  if (typeof json === 'number' && !Number.isSafeInteger(json)) return branch('double', json)
  if (typeof json === 'number') return branch('long', BigInt(json))
  // Avro has no larger integer
  if (typeof json === 'bigint') return BigInt.asIntN(64, json) === json ? branch('long', json) : branch('string', String(json))
  if (typeof json === 'boolean') return branch('boolean', json)
  return branch('string', typeof json === 'string' ? json : JSON.stringify(json))
}

function branch(name: string, value: unknown): object | null {
  return value === null ? null : { [name]: value }
}
