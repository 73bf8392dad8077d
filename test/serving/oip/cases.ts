import { expect } from 'vitest'
import type { Call, Element, Tensor } from './transports.ts'

/** One call with the expected answer, for every transport. NaN is null. */
export interface OipCase {
  readonly name: string
  readonly call: Call
  /** The transports that can express it. Absent: all. */
  readonly only?: readonly ('json' | 'binary' | 'typed' | 'raw')[]
  readonly outputs?: readonly Tensor[]
  readonly version?: string
  readonly parameters?: Readonly<Record<string, unknown>>
  /** The HTTP status, and what the message says. */
  readonly refused?: readonly [status: number, says: string]
}

const t = (name: string, datatype: string, shape: readonly number[], data: readonly Element[]): Tensor => ({ name, datatype, shape, data })
const features = (data: readonly Element[]) => t('features', 'FP32', [data.length / 3, 3], data)
const out = (data: readonly Element[]) => t('out', 'FP32', [data.length / 3, 3], data)
const echo = (data: readonly Element[], more: Partial<Call> = {}): Call => ({
  model: 'echo',
  version: '1',
  inputs: [features(data)],
  ...more,
})
const cast = (name: string, data: readonly Element[] = [0, 1, 100]): Call => ({ ...echo(data), version: '2', outputs: [name] })

const airports = (names: readonly string[]) => t('airport', 'BYTES', [names.length], names)
const distances = (values: readonly number[], datatype = 'FP64') => t('distance', datatype, [values.length], values)
const flight = (inputs: readonly Tensor[], more: Partial<Call> = {}): Call => ({ model: 'echo', version: '1', inputs, ...more })
const moment = { as_of: '2001-07-01T12:00:00Z', prediction_id_prefix: expect.stringMatching(/^[\w.-]{36,}\/$/) as string }

const typed = (rows: number, [amount, count, city, open, vec]: readonly (readonly Element[])[]): Tensor[] => [
  t('amount', 'FP32', [rows, 1], amount ?? []),
  t('count', 'INT64', [rows, 1], count ?? []),
  t('city', 'BYTES', [rows], city ?? []),
  t('open', 'BOOL', [rows, 1], open ?? []),
  t('vec', 'FP32', [rows, 2], vec ?? []),
]
const comesBack = (tensors: readonly Tensor[]): Tensor[] => tensors.map((tensor) => ({ ...tensor, name: `${tensor.name}_out` }))
const one = typed(1, [[0.5], [7], ['Bern'], [true], [1, 2]])
const wide = typed(2, [
  [0.5, null],
  [9007199254740993n, -9223372036854775808n],
  ['Zürich 🛬', ''],
  [true, false],
  [1, 2, 3, 4],
])
const edges = typed(1, [[0], [9223372036854775807n], ['"quoted" \\ \n'], [false], [0, 0]])

const answers: readonly OipCase[] = [
  { name: 'one row', call: echo([1.5, -2, 0.25]), outputs: [out([1.5, -2, 0.25])], version: '1' },
  { name: 'three rows', call: echo([1, 2, 3, 4, 5, 6, 7, 8, 9]), outputs: [out([1, 2, 3, 4, 5, 6, 7, 8, 9])] },
  {
    name: 'the ends of FP32',
    call: echo([3.4028234663852886e38, -3.4028234663852886e38, 1.401298464324817e-45]),
    outputs: [out([3.4028234663852886e38, -3.4028234663852886e38, 1.401298464324817e-45])],
  },
  { name: 'a missing value', call: echo([null, 1, null]), outputs: [out([null, 1, null])] },
  { name: 'an id', call: echo([1, 2, 3], { id: 'call-7 é' }), outputs: [out([1, 2, 3])] },
  { name: 'an output by name', call: echo([1, 2, 3], { outputs: ['out'] }), outputs: [out([1, 2, 3])] },
  {
    name: 'the version that answers by itself',
    call: { model: 'echo', inputs: [features([1, 2, 3])], outputs: ['out'] },
    outputs: [out([1, 2, 3])],
    version: '2',
  },
  { name: 'a version by its alias', call: echo([1, 2, 3], { version: 'steady' }), outputs: [out([1, 2, 3])], version: '1' },
  {
    name: 'outputs in the order that they are asked for',
    call: { ...cast('i8'), outputs: ['i8', 'out', 'u8'] },
    outputs: [t('i8', 'INT8', [1, 3], [0, 1, 100]), out([0, 1, 100]), t('u8', 'UINT8', [1, 3], [0, 1, 100])],
  },
  { name: 'UINT8', call: cast('u8', [0, 1, 255]), outputs: [t('u8', 'UINT8', [1, 3], [0, 1, 255])] },
  { name: 'UINT16', call: cast('u16', [0, 1, 65535]), outputs: [t('u16', 'UINT16', [1, 3], [0, 1, 65535])] },
  { name: 'UINT32', call: cast('u32', [0, 1, 16777216]), outputs: [t('u32', 'UINT32', [1, 3], [0, 1, 16777216])] },
  { name: 'UINT64', call: cast('u64', [0, 1, 2 ** 60]), outputs: [t('u64', 'UINT64', [1, 3], [0, 1, 2n ** 60n])] },
  { name: 'INT8', call: cast('i8', [-128, 1, 127]), outputs: [t('i8', 'INT8', [1, 3], [-128, 1, 127])] },
  { name: 'INT16', call: cast('i16', [-32768, 1, 32767]), outputs: [t('i16', 'INT16', [1, 3], [-32768, 1, 32767])] },
  { name: 'INT32', call: cast('i32', [-16777216, 1, 5]), outputs: [t('i32', 'INT32', [1, 3], [-16777216, 1, 5])] },
  { name: 'INT64', call: cast('i64', [-(2 ** 60), 1, 5]), outputs: [t('i64', 'INT64', [1, 3], [-(2n ** 60n), 1, 5])] },
  {
    name: 'FP16 as its bits',
    call: cast('f16', [1, -2, 65504]),
    only: ['binary', 'typed', 'raw'],
    outputs: [t('f16', 'FP16', [1, 3], [0x3c00, 0xc000, 0x7bff])],
  },
  { name: 'FP64', call: cast('f64', [0.5, null, 3]), outputs: [t('f64', 'FP64', [1, 3], [0.5, null, 3])] },
  { name: 'BOOL', call: cast('flag', [0, 1, 2]), outputs: [t('flag', 'BOOL', [1, 3], [false, true, true])] },
  { name: 'BYTES', call: cast('text', [1.5, 2.5, -3.5]), outputs: [t('text', 'BYTES', [1, 3], ['1.5', '2.5', '-3.5'])] },
  { name: 'inputs of every type', call: { model: 'typed', inputs: one }, outputs: comesBack(one) },
  { name: 'inputs in another order', call: { model: 'typed', inputs: one.toReversed() }, outputs: comesBack(one) },
  { name: 'integers beyond 2^53, texts beyond ASCII, and nulls', call: { model: 'typed', inputs: wide }, outputs: comesBack(wide) },
  { name: 'the greatest INT64, and a text that JSON escapes', call: { model: 'typed', inputs: edges }, outputs: comesBack(edges) },
  {
    name: 'a classifier',
    call: { model: 'classes', inputs: [features([5, -5, 5, -5, 5, -5])], outputs: ['label'] },
    outputs: [t('label', 'INT64', [2], [1, 0])],
  },
  {
    name: 'parameters that have no effect',
    call: echo([1, 2, 3], { parameters: { priority: 2, timeout: 60_000_000, mine: 'x', sequence_id: 0 } }),
    outputs: [out([1, 2, 3])],
  },

  {
    name: 'an entity',
    call: flight([airports(['ATL']), distances([100])]),
    outputs: [out([25, 1, 0.25])],
    parameters: moment,
    version: '1',
  },
  {
    name: 'three entities, one of them unknown',
    call: flight([airports(['ATL', 'JFK', 'XXX']), distances([100, -6, 1])]),
    outputs: [out([25, 1, 0.25, -3, 1, 0.5, null, 0, null])],
    parameters: moment,
  },
  {
    name: 'entities in columns of one',
    call: flight([
      { ...airports(['ATL']), shape: [1, 1] },
      { ...distances([100]), shape: [1, 1] },
    ]),
    outputs: [out([25, 1, 0.25])],
  },
  { name: 'request data as FP32', call: flight([airports(['ATL']), distances([100], 'FP32')]), outputs: [out([25, 1, 0.25])] },
  { name: 'request data as INT64', call: flight([distances([100], 'INT64'), airports(['ATL'])]), outputs: [out([25, 1, 0.25])] },
  {
    name: 'an entity at another moment',
    call: flight([airports(['JFK']), distances([1])], { parameters: { as_of: '2001-07-01T11:00:00Z' } }),
    outputs: [out([-3, 1, -3])],
    parameters: { as_of: '2001-07-01T11:00:00Z' },
  },
  {
    name: 'a moment before what is known',
    call: flight([airports(['JFK']), distances([1])], { parameters: { as_of: '2001-07-01T10:59:59Z' } }),
    outputs: [out([null, 0, null])],
  },
  {
    name: 'an entity that may be answered by defaults',
    call: flight([airports(['ATL']), distances([100])], { parameters: { on_unavailable: 'defaults' } }),
    outputs: [out([25, 1, 0.25])],
    parameters: moment,
  },
  {
    name: 'the declared outputs of every type',
    call: { model: 'typed', inputs: [airports(['ATL', 'XXX'])] },
    outputs: [
      t('amount_out', 'FP32', [2], [0.5, null]),
      t('count_out', 'INT64', [2], [9007199254740993n, 0]),
      t('city_out', 'BYTES', [2], ['Atlanta', 'nowhere']),
      t('open_out', 'BOOL', [2], [true, false]),
      t('vec_out', 'FP32', [2, 2], [3, 4, null, null]),
    ],
  },
  {
    name: 'declared outputs by name',
    call: { model: 'typed', inputs: [airports(['ATL'])], outputs: ['city_out', 'count_out'] },
    outputs: [t('city_out', 'BYTES', [1], ['Atlanta']), t('count_out', 'INT64', [1], [9007199254740993n])],
  },
]

const refusals: readonly OipCase[] = [
  { name: 'an unknown model', call: { ...echo([1, 2, 3]), model: 'ecko' }, refused: [404, 'no model "ecko"'] },
  { name: 'an unknown version', call: echo([1, 2, 3], { version: '9' }), refused: [404, '9'] },
  { name: 'an unknown alias', call: echo([1, 2, 3], { version: 'best' }), refused: [404, 'best'] },
  { name: 'no inputs', call: echo([], { inputs: [] }), refused: [400, 'inputs are missing'] },
  {
    name: 'an unknown input',
    call: echo([], { inputs: [{ ...features([1, 2, 3]), name: 'feature' }] }),
    refused: [400, 'Did you mean "features"'],
  },
  {
    name: 'one of five inputs',
    call: { model: 'typed', inputs: one.slice(0, 1) },
    refused: [400, 'only "amount", without "count", "city"'],
  },
  {
    name: 'inputs of both kinds',
    call: flight([features([1, 2, 3]), airports(['ATL'])]),
    refused: [400, 'of both kinds ("features", "airport")'],
  },
  { name: 'an input twice', call: echo([], { inputs: [features([1, 2, 3]), features([1, 2, 3])] }), refused: [400, 'twice'] },
  {
    name: 'an unknown datatype',
    only: ['json', 'typed'],
    call: echo([], { inputs: [{ ...features([1, 2, 3]), datatype: 'FLOAT' }] }),
    refused: [400, '"FLOAT"'],
  },
  { name: 'another datatype', call: echo([], { inputs: [{ ...features([1, 2, 3]), datatype: 'FP64' }] }), refused: [400, 'takes FP32'] },
  { name: 'another rank', call: echo([], { inputs: [{ ...features([1, 2, 3]), shape: [3] }] }), refused: [400, 'shape [-1, 3]'] },
  { name: 'another width', call: echo([], { inputs: [{ ...features([1, 2, 3]), shape: [3, 1] }] }), refused: [400, 'shape [-1, 3]'] },
  { name: 'no rows', call: echo([], { inputs: [{ ...features([]), shape: [0, 3] }] }), refused: [400, 'shape [0, 3]'] },
  {
    name: 'too few elements',
    call: echo([], { inputs: [{ ...features([1, 2]), shape: [1, 3] }] }),
    refused: [400, 'needs'],
  },
  {
    name: 'too many elements',
    call: echo([], { inputs: [{ ...features([1, 2, 3, 4]), shape: [1, 3] }] }),
    refused: [400, 'needs'],
  },
  {
    name: 'a shape beyond all bounds',
    call: echo([], { inputs: [{ ...features([1]), shape: [1e9, 1e9] }] }),
    refused: [400, 'needs'],
  },
  {
    name: 'inputs of unequal rows',
    call: { model: 'typed', inputs: [...one.slice(1), t('amount', 'FP32', [2, 1], [1, 2])] },
    refused: [400, 'rows'],
  },
  { name: 'an unknown output', call: echo([1, 2, 3], { outputs: ['outs'] }), refused: [400, '"outs"'] },
  { name: 'an output twice', call: echo([1, 2, 3], { outputs: ['out', 'out'] }), refused: [400, 'twice'] },
  { name: 'FP16 in JSON', only: ['json'], call: cast('f16'), refused: [400, 'binary'] },
  {
    name: 'FP16 typed in',
    only: ['json', 'typed'],
    call: echo([], { inputs: [{ ...features([1, 2, 3]), datatype: 'FP16' }] }),
    refused: [400, 'FP16'],
  },
  { name: 'a classification', call: echo([1, 2, 3], { parameters: { classification: 3 } }), refused: [501, 'classification'] },
  { name: 'a sequence', call: echo([1, 2, 3], { parameters: { sequence_id: 8 } }), refused: [501, 'sequence'] },
  { name: 'a negative priority', call: echo([1, 2, 3], { parameters: { priority: -1 } }), refused: [400, '"priority"'] },
  { name: 'a timeout that is no number', call: echo([1, 2, 3], { parameters: { timeout: 'soon' } }), refused: [400, '"timeout"'] },
  { name: 'an element that is a text', only: ['json'], call: echo([1, 'two', 3]), refused: [400, '"two", which is not FP32'] },
  { name: 'an element beyond FP32', only: ['json'], call: echo([1, 1e39, 3]), refused: [400, 'outside the range of FP32'] },
  {
    name: 'a fraction that is to be INT64',
    only: ['json'],
    call: { model: 'typed', inputs: typed(1, [[0], [1.5], [''], [true], [0, 0]]) },
    refused: [400, '1.5, which is not INT64'],
  },
  {
    name: 'an integer beyond INT64',
    only: ['json'],
    call: { model: 'typed', inputs: typed(1, [[0], [2n ** 63n], [''], [true], [0, 0]]) },
    refused: [400, 'not INT64'],
  },
  {
    name: 'a BOOL that is 2',
    only: ['json', 'binary', 'raw'],
    call: { model: 'typed', inputs: typed(1, [[0], [1], [''], [2], [0, 0]]) },
    refused: [400, 'BOOL'],
  },
  {
    name: 'a BYTES that is a number',
    only: ['json'],
    call: { model: 'typed', inputs: typed(1, [[0], [1], [5], [true], [0, 0]]) },
    refused: [400, 'not BYTES'],
  },

  { name: 'an entity without its request data', call: flight([airports(['ATL'])]), refused: [400, '"distance"'] },
  {
    name: 'entities of unequal number',
    call: flight([airports(['ATL', 'JFK']), distances([1])]),
    refused: [400, 'a value for each entity'],
  },
  { name: 'no entities', call: flight([airports([]), distances([])]), refused: [400, '0 entities'] },
  { name: 'a key of another type', call: flight([t('airport', 'INT32', [1], [5]), distances([1])]), refused: [400, '"airport"'] },
  {
    name: 'request data of another type',
    call: flight([airports(['ATL']), t('distance', 'BOOL', [1], [true])]),
    refused: [400, '"distance"'],
  },
  {
    name: 'an output that is not declared',
    call: { model: 'classes', inputs: [airports(['ATL']), distances([1])], outputs: ['labels'] },
    refused: [400, 'Did you mean "label"'],
  },
  { name: 'a required feature that is missing', call: { model: 'strict', inputs: [airports(['XXX'])] }, refused: [400, 'neededDelay'] },
  {
    name: 'a moment that is none',
    call: flight([airports(['ATL']), distances([1])], { parameters: { as_of: 'noon' } }),
    refused: [400, 'noon'],
  },
  {
    name: 'a moment that is no text',
    call: flight([airports(['ATL']), distances([1])], { parameters: { as_of: true } }),
    refused: [400, '"as_of"'],
  },
  {
    name: 'an unknown policy',
    call: flight([airports(['ATL']), distances([1])], { parameters: { on_unavailable: 'guess' } }),
    refused: [400, '"guess"'],
  },
]

export const cases: readonly OipCase[] = [...answers, ...refusals]
