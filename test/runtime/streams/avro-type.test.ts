import { describe, expect, it } from 'vitest'
import { parseJson } from '../../../kernel/values/parse-json.ts'
import { answerSchema, answerWriter } from '../../../runtime/streams/avro-answer.ts'
import { avroReader } from '../../../runtime/streams/avro-type.ts'

const read = (schema: unknown, hex: string, references: readonly unknown[] = []): unknown => {
  const texts = references.map((each) => JSON.stringify(each))
  const reader = avroReader({ schema: JSON.stringify(schema), references: texts })
  return parseJson(reader(Buffer.from(hex, 'hex')).toString())
}
const field = (name: string, type: unknown, more: object = {}) => ({ name, type, ...more })
const record = (name: string, fields: readonly object[]) => ({ type: 'record', name, fields })
const logical = (type: string, logicalType: string, more: object = {}) => ({ type, logicalType, ...more })

describe('a message in Avro', () => {
  it('is the JSON of its fields, with exact integers, times as text and unions without their branches', () => {
    const schema = record('Landing', [
      field('airport', 'string'),
      field('at', logical('long', 'timestamp-millis')),
      field('booked', ['null', logical('long', 'timestamp-micros')], { default: null }),
      field('day', logical('int', 'date')),
      field('price', logical('bytes', 'decimal', { precision: 9, scale: 2 })),
      field('loss', ['null', { ...logical('fixed', 'decimal', { precision: 9, scale: 3 }), name: 'Money', size: 4 }], { default: null }),
      field('count', 'long', { default: 0 }),
      field('delay', ['null', 'double'], { default: null }),
      field('ratio', ['int', 'float', 'null']),
      field('kind', { type: 'enum', name: 'Kind', symbols: ['CARGO', 'PEOPLE'] }),
      field('tags', { type: 'array', items: ['null', 'string'] }),
      field('hours', { type: 'map', values: 'int' }),
      field('raw', 'bytes'),
      field('ok', 'boolean'),
      field('gate', ['null', record('Gate', [field('terminal', 'string'), field('number', 'int')])], { default: null }),
    ])
    // written by fastavro 1.13.1
    const hex = '065a5248f6a9a89495670201c2c00204fb4b0200000007828080808080802000020000c03f0204020261000002066d6f6e05000400ff010202410e'
    expect(read(schema, hex)).toEqual({
      airport: 'ZRH',
      at: '2026-03-01T12:00:00.123Z',
      booked: '1969-12-31T23:59:59.999999Z',
      day: '2026-03-01T00:00:00Z',
      price: -12.05,
      loss: 0.007,
      count: 9007199254740993n,
      delay: null,
      ratio: 1.5,
      kind: 'PEOPLE',
      tags: ['a', null],
      hours: { mon: -3 },
      raw: 'AP8=',
      ok: true,
      gate: { terminal: 'A', number: 7 },
    })
  })

  it('has arrays and maps in several blocks, of items without bytes too', () => {
    const schema = record('T', [
      field('a', { type: 'array', items: 'int' }),
      field('m', { type: 'map', values: 'int' }),
      field('n', { type: 'array', items: 'null' }),
    ])
    // a block of one item, and one that gives its size
    expect(read(schema, '020201020400020261020106026204001400')).toEqual({
      a: [1, 2],
      m: { a: 1, b: 2 },
      n: Array.from({ length: 10 }, () => null),
    })
  })

  it('rounds nanoseconds down, also before 1970', () => {
    const schema = record('T', [field('at', logical('long', 'timestamp-nanos')), field('before', logical('long', 'local-timestamp-nanos'))])
    // 1,999 and -1
    expect(read(schema, '9e1f01')).toEqual({ at: '1970-01-01T00:00:00.000001Z', before: '1969-12-31T23:59:59.999999Z' })
  })

  it('finds types of other schemas that its own refers to', () => {
    const gate = { ...record('Gate', [field('number', 'int')]), namespace: 'flights' }
    expect(read(record('Landing', [field('gate', 'flights.Gate')]), '0e', [gate])).toEqual({ gate: { number: 7 } })
  })

  it.each([
    [record('T', [field('a', 'long')]), '', 'truncated'],
    [record('T', [field('a', 'int')]), '0000', 'trailing data'],
    [record('T', [field('a', 'double')]), '000000000000f87f', '"a" is NaN; send null'],
    [record('T', [field('a', logical('long', 'timestamp-micros'))]), 'ffffffffffffffffff01', 'out of range'],
    // 300,000,000 and 2^50 items, in one block or after a smaller one, and 1,100 items of no bytes
    [record('T', [field('a', { type: 'array', items: 'long' })]), '80b08d9e02', 'more items than the message has bytes'],
    [record('T', [field('a', { type: 'array', items: 'long' })]), '0202ffafe186a40200', 'more items than the message has bytes'],
    [record('T', [field('a', ['null', { type: 'map', values: 'long' }])]), '02808080808080808004', 'more items than the message has bytes'],
    [record('T', [field('a', { type: 'array', items: 'null' })]), '981100', 'more items than the message has bytes'],
    [record('T', [field('a', 'Unknown')]), '00', 'schema of the message is not valid'],
  ])('is refused as %j with the bytes "%s": %s', (schema, hex, reason) => {
    expect(() => read(schema, hex)).toThrow(
      expect.objectContaining({ code: 'INVALID_EVENT', message: expect.stringContaining(reason) as string }),
    )
  })
})

describe('an answer in Avro', () => {
  const kinds = {
    label: 'int64',
    p: 'float64',
    q: 'float32',
    at: 'timestamp',
    ok: 'bool',
    n: 'int32',
    s: 'string',
    none: 'float64',
  } as const
  const scalars = Object.entries(kinds).map(([name, kind]) => ({ name, type: { kind } }))
  const outputs = [...scalars, { name: 'v', type: { kind: 'vector', length: 2 } as const }]
  const shape = { pipeline: 'score', key: ['card', 'branch', 'share'], outputs }
  const json =
    '{"id":"kafka:t:x-0-1","pipeline":"score","key":{"card":"c1","branch":9007199254740993,"share":1.5},"model":"m","version":3,"role":"arm","experiment":"e","variant":"b","asOf":"2026-03-01T10:26:00.123456Z","predictionId":"p/0","prediction":{"label":9007199254740993,"p":0.25,"q":0.5,"at":"1969-12-31T23:59:59.999999Z","ok":true,"n":-3,"s":"x","none":null,"v":[0.5,null]},"outputStatuses":{"v":"INVALID"}}'

  it('has the bytes from which others read the values that its JSON has', () => {
    // fastavro 1.13.1 reads the same values from them
    const bytes = answerWriter(shape)(json)
    expect(bytes.toString('hex')).toBe(
      '1a6b61666b613a743a782d302d310a73636f72650204633104828080808080802006000000000000f83f026d060661726d0202650202628081abd8fcfca50606702f3002828080808080802002000000000000d03f020000003f020102010205020278000204020000003f0000020202760e494e56414c494400',
    )
    const back = avroReader({ schema: JSON.stringify(answerSchema(shape)), references: [] })(bytes).toString()
    expect(parseJson(back)).toEqual(parseJson(json))
  })

  it('is null where its JSON has no member', () => {
    const short = { id: 'i', pipeline: 'score', key: {}, model: 'm', version: 1, role: 'champion', asOf: '2026-03-01T10:26:00Z', predictionId: 'p', prediction: {} } // prettier-ignore
    const back = avroReader({ schema: JSON.stringify(answerSchema(shape)), references: [] })(answerWriter(shape)(JSON.stringify(short)))
    expect(JSON.parse(back.toString())).toMatchObject({ ...short, experiment: null, key: { card: null }, prediction: { p: null, v: null }, outputStatuses: null }) // prettier-ignore
  })

  it('has a key beyond 64 bits as text', () => {
    const large = json
      .replace('"card":"c1"', '"card":9223372036854775808')
      .replace('9007199254740993,"share"', '-9223372036854775808,"share"')
    const back = avroReader({ schema: JSON.stringify(answerSchema(shape)), references: [] })(answerWriter(shape)(large)).toString()
    expect(parseJson(back)).toMatchObject({ key: { card: '9223372036854775808', branch: -9223372036854775808n } })
  })

  it('needs names that Avro allows', () => {
    expect(() => answerSchema({ ...shape, key: ['card no'] })).toThrow('"card no" is no name in Avro')
  })
})
