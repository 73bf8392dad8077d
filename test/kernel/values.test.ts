import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseValue } from '../../kernel/values/parse-value.ts'
import { ByteReader, ByteWriter } from '../../kernel/values/binary.ts'
import { durationText, formatDuration, measuredText, parseDuration } from '../../kernel/values/duration.ts'
import { formatNumber, formatShare } from '../../kernel/values/format-number.ts'
import { decodeKey, encodeKey } from '../../kernel/values/entity-key.ts'
import { defaultHop, divisorChains } from '../../kernel/states/hop.ts'
import { formatTimestamp, parseTimestamp } from '../../kernel/values/time.ts'
import { compareUtf8 } from '../../kernel/values/utf8-order.ts'
import { valueCodec } from '../../kernel/values/value-codec.ts'
import { valueFromJson, valueToJson } from '../../kernel/values/value-json.ts'
import type { CountsValue, Value, ValueType } from '../../kernel/values/value-type.ts'
import { canonical, isValueOf, ownCopy } from '../../kernel/values/value-type.ts'
import { budget } from '../budget.ts'

const micros = fc.integer({ min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER })

it('numbers have three significant digits, and separators from 1,000 on', () => {
  const numbers = [0.01234, 71.23, 999.9, 1480.4, -567_905, 1e15, 1.23e21, 1.5e-9, 0]
  expect(numbers.map((number) => formatNumber(number))).toEqual([
    '0.0123',
    '71.2',
    '1,000',
    '1,480',
    '-568,000',
    '1,000,000,000,000,000',
    '1.23e+21',
    '1.5e-9',
    '0',
  ])
  expect(formatNumber(1234.5678, 7)).toBe('1,234.568')
})

it('shares are percentages with no more digits than asked for', () => {
  expect([0, 0.07, 0.57, 0.28, 0.9999, 1].map((share) => formatShare(share, 6))).toEqual(['0 %', '7 %', '57 %', '28 %', '99.99 %', '100 %'])
  expect([0.1234567, 0.00045678, 0.99999].map((share) => formatShare(share))).toEqual(['12.3 %', '0.0457 %', '100 %'])
})

describe('times', () => {
  it('read back exactly from RFC 3339', () => {
    fc.assert(fc.property(fc.integer({ min: -8e15, max: 8e15 }), (t) => void expect(parseTimestamp(formatTimestamp(t))).toBe(t)))
  })

  it('print as few decimals as they need', () => {
    expect(formatTimestamp(0)).toBe('1970-01-01T00:00:00Z')
    expect(formatTimestamp(1)).toBe('1970-01-01T00:00:00.000001Z')
    expect(formatTimestamp(-1)).toBe('1969-12-31T23:59:59.999999Z')
    expect(formatTimestamp(120_000)).toBe('1970-01-01T00:00:00.12Z')
  })

  it('accept a zone, and are UTC without one', () => {
    const noon = parseTimestamp('2001-07-01T12:00:00Z')
    for (const text of [
      '2001-07-01 12:00',
      '2001-07-01T12:00:00',
      '2001-07-01T14:00:00+02:00',
      '2001-07-01T05:00:00-0700',
      '2001-07-01 12:00:00+00',
    ])
      expect(parseTimestamp(text)).toBe(noon)
    expect(parseTimestamp('2001-07-01')).toBe(parseTimestamp('2001-07-01T00:00:00Z'))
    for (const zone of ['+24:00', '+99:99', '-00:60', '+2500'])
      expect(() => parseTimestamp(`2001-07-01T12:00:00${zone}`)).toThrow(`"2001-07-01T12:00:00${zone}" is not a time`)
  })

  it.each([
    '',
    'yesterday',
    '2001-02-29',
    '2001-13-01',
    '2001-01-01T24:00:00Z',
    '2001-01-01T00:60:00Z',
    '1500-01-01',
    '9999-01-01',
    '2001-1-1',
  ])('refuse "%s" by name', (text) => {
    expect(() => parseTimestamp(text)).toThrow(
      expect.objectContaining({ code: 'INVALID_TIME', message: expect.stringContaining(text) as string }),
    )
  })
})

describe('durations', () => {
  it('read back from their shortest form', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), (d) => void expect(parseDuration(formatDuration(d))).toBe(d)),
    )
    expect(parseDuration('1h30m')).toBe(5_400_000_000)
    expect(formatDuration(5_400_000_000)).toBe('1h30m')
  })

  it('have spaces and "min" in sentences, and two units if they were measured', () => {
    expect(['90d', '36h', '5m', '11us'].map((each) => durationText(parseDuration(each)))).toEqual(['90 d', '1 d 12 h', '5 min', '11 µs'])
    expect([10_148.4, 0.2, 126, 86_400].map(measuredText)).toEqual(['2 h 49 min', '1 s', '2 min 6 s', '1 d'])
  })

  it.each(['', '0s', '1x', '-1h', '1.5h', '1 h', 'h', '99999999999d'])('refuse "%s" by name', (text) => {
    expect(() => parseDuration(text, 'The window')).toThrow(
      expect.objectContaining({ code: 'INVALID_DURATION', message: expect.stringContaining(`The window "${text}"`) as string }),
    )
  })

  it('refuse what is no text by its kind', () => {
    const given = { window: '30d' } as unknown as string
    expect(() => parseDuration(given, 'The window')).toThrow('The window an object is not a duration; write whole numbers')
  })
})

describe('default hops', () => {
  it('are a day from 12 days, an hour from 12 hours, 5 min from 1 h, else a twelfth', () => {
    const hops = ['12d', '11d23h', '12h', '11h59m', '1h', '59m', '11us'].map((w) => formatDuration(defaultHop(parseDuration(w))))
    expect(hops).toEqual(['1d', '1h', '1h', '5m', '5m', '4m55s', '1us'])
  })

  it('form one chain if they divide each other, else several', () => {
    expect(divisorChains([86_400, 300, 3600, 300])).toEqual([[300, 3600, 86_400]])
    expect(divisorChains([150, 225, 300])).toEqual([[150, 300], [225]])
  })
})

describe('entity keys', () => {
  const parts = [
    { name: 'a', type: { kind: 'string' } },
    { name: 'b', type: { kind: 'int64' } },
    { name: 'c', type: { kind: 'string' } },
    { name: 'd', type: { kind: 'int32' } },
    { name: 'e', type: { kind: 'bool' } },
    { name: 'f', type: { kind: 'timestamp' } },
  ] as const
  const text = fc.string({ unit: 'binary', maxLength: 6 }).filter((s) => !s.includes('\0') && s.isWellFormed())
  const entity = fc.tuple(text, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), text, fc.integer(), fc.boolean(), micros)

  it('sort as the typed parts do, text by its UTF-8 bytes', () => {
    const order = (a: Value, b: Value): number =>
      typeof a === 'string'
        ? Buffer.compare(Buffer.from(a), Buffer.from(b as string))
        : a < (b as typeof a)
          ? -1
          : a > (b as typeof a)
            ? 1
            : 0
    fc.assert(
      fc.property(entity, entity, (a, b) => {
        const expected = a.map((value, i) => order(value, b[i] as Value)).find((o) => o !== 0) ?? 0
        const [x, y] = [encodeKey(parts, a), encodeKey(parts, b)]
        expect(x < y ? -1 : x > y ? 1 : 0).toBe(Math.sign(expected))
      }),
      { numRuns: budget(1000) },
    )
  })

  it('read back', () => {
    fc.assert(fc.property(entity, (values) => void expect(decodeKey(parts, encodeKey(parts, values))).toEqual(values)))
  })

  it('never confuse composite keys whose texts contain separators', () => {
    const two = [parts[0], parts[2]]
    expect(encodeKey(two, ['a', 'b,c'])).not.toBe(encodeKey(two, ['a,b', 'c']))
    expect(encodeKey(two, ['', 'a'])).not.toBe(encodeKey(two, ['a', '']))
  })

  it('name the part that is missing, wrong or impossible', () => {
    const one = parts.slice(0, 1)
    for (const bad of [undefined, null, 5, 'a\0b', 'x'.repeat(2000), '\ud800']) {
      expect(() => encodeKey(one, [bad])).toThrow(expect.objectContaining({ code: 'INVALID_ENTITY' }))
    }
  })
})

const category = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('', '404', '-1', '__proto__', 'constructor', 'a,b', '\u{1F600}', '\uFFFD'),
)
const typed: fc.Arbitrary<{ type: ValueType; value: Value }> = fc.oneof(
  fc.boolean().map((value) => ({ type: { kind: 'bool' } as const, value })),
  fc.integer().map((value) => ({ type: { kind: 'int32' } as const, value })),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((value) => ({ type: { kind: 'int64' } as const, value })),
  fc.float().map((value) => ({ type: { kind: 'float32' } as const, value })),
  fc.double().map((value) => ({ type: { kind: 'float64' } as const, value })),
  fc.string({ unit: 'grapheme' }).map((value) => ({ type: { kind: 'string' } as const, value })),
  fc.integer({ min: -8e15, max: 8e15 }).map((value) => ({ type: { kind: 'timestamp' } as const, value })),
  fc
    .array(fc.float(), { minLength: 3, maxLength: 3 })
    .map((v) => ({ type: { kind: 'vector', length: 3 } as const, value: new Float32Array(v) })),
  fc.array(fc.option(fc.double())).map((value) => ({ type: { kind: 'list', of: { kind: 'float64' }, nulls: true } as const, value })),
  fc
    .array(fc.bigInt(-9n, 2n ** 63n - 1n))
    .map((value) => ({ type: { kind: 'list', of: { kind: 'int64' }, nulls: false } as const, value })),
  fc.array(fc.tuple(category, fc.nat())).map((pairs) => ({ type: { kind: 'counts' } as const, value: new Map(pairs) })),
)

describe('values that a client sent', () => {
  it('may name an infinity, in a vector too, and may not overflow to one', () => {
    const vector = { kind: 'vector', length: 2 } as const
    expect(parseValue(vector, [1, 'Infinity'], 'It')).toEqual(new Float32Array([1, Number.POSITIVE_INFINITY]))
    expect(parseValue({ kind: 'float64' }, '-Infinity', 'It')).toBe(Number.NEGATIVE_INFINITY)
    for (const [type, json] of [
      [vector, [1, 1e300]],
      [vector, ['Infinity', Number.POSITIVE_INFINITY]],
      [{ kind: 'float32' }, 1e300],
    ] as const)
      expect(() => parseValue(type, json, 'It')).toThrow('It is outside the range of')
  })

  it('may have long integers in a vector, and the element that is no number is named', () => {
    const vector = { kind: 'vector', length: 2 } as const
    expect(parseValue(vector, [1, 10n ** 17n], 'It')).toEqual(new Float32Array([1, 1e17]))
    expect(() => parseValue(vector, [1, null], 'It')).toThrow('It, element 1, is null, which is not float32.')
    expect(() => parseValue(vector, [1, 10n ** 40n], 'It')).toThrow('It is outside the range of')
  })
})

describe('values', () => {
  it('read back from bytes and from JSON in their canonical form', () => {
    fc.assert(
      fc.property(typed, ({ type, value }) => {
        const kept = canonical(type, value)
        const writer = new ByteWriter(1)
        valueCodec(type).write(writer, kept)
        const reader = new ByteReader(writer.bytes())
        expect(valueCodec(type).read(reader)).toEqual(kept)
        expect(reader.done).toBe(true)
        expect(valueFromJson(type, JSON.parse(JSON.stringify(valueToJson(type, kept))), 'x')).toEqual(kept)
      }),
      { numRuns: budget(1000) },
    )
  })

  it('lose the sign of zero only', () => {
    expect(Object.is(canonical({ kind: 'float64' }, -0), 0)).toBe(true)
    expect(Object.is(canonical({ kind: 'float32' }, -0), 0)).toBe(true)
    expect(Object.is(canonical({ kind: 'int32' }, -0), 0)).toBe(true)
    expect(canonical({ kind: 'vector', length: 2 }, new Float32Array([-0, 1]))).toEqual(new Float32Array([0, 1]))
    expect(canonical({ kind: 'float64' }, Number.NaN)).toBeNaN()
  })

  it('order texts as their UTF-8 bytes are ordered', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: fc.constantFrom('a', 'é', '\uFFFD', '\u{1F600}', '\u{10FFFF}', '\uE000') }),
    )
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(Math.sign(compareUtf8(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)))
      }),
      { numRuns: budget(2000) },
    )
    const counts = new Map([
      ['b', 1],
      ['\u{1F600}', 2],
      ['\uFFFD', 3],
      ['10', 4],
      ['9', 5],
    ])
    expect([...(canonical({ kind: 'counts' }, counts) as CountsValue).values()]).toEqual([4, 5, 1, 3, 2])
  })

  it('are copied for code that may change them', () => {
    const values = [new Float32Array([1]), ['a', null], new Map([['a', 1]])]
    for (const value of values) {
      expect(ownCopy(value)).toEqual(value)
      expect(ownCopy(value)).not.toBe(value)
    }
    expect([ownCopy(null), ownCopy('a'), ownCopy(1n)]).toEqual([null, 'a', 1n])
  })

  it('are distinguished from values of other types', () => {
    const wrong: [ValueType, unknown][] = [
      [{ kind: 'int32' }, 2 ** 31],
      [{ kind: 'int32' }, 1.5],
      [{ kind: 'int32' }, 1n],
      [{ kind: 'int64' }, 1],
      [{ kind: 'int64' }, 2n ** 63n],
      [{ kind: 'float64' }, '1'],
      [{ kind: 'timestamp' }, 2 ** 53],
      [{ kind: 'timestamp' }, new Date()],
      [{ kind: 'vector', length: 2 }, new Float32Array(3)],
      [{ kind: 'bool' }, 1],
      [{ kind: 'list', of: { kind: 'string' }, nulls: false }, ['a', null]],
      [{ kind: 'list', of: { kind: 'string' }, nulls: true }, ['a', 1]],
      [{ kind: 'list', of: { kind: 'string' }, nulls: true }, 'a'],
      [{ kind: 'counts' }, { a: 1 }],
      [{ kind: 'counts' }, new Map([['a', 1.5]])],
      [{ kind: 'counts' }, new Map([['a', -1]])],
      [{ kind: 'counts' }, new Map([[1, 1]])],
    ]
    for (const [type, value] of wrong) expect(isValueOf(type, value)).toBe(false)
  })

  it('report a stored form that ends early', () => {
    expect(() => valueCodec({ kind: 'string' }).read(new ByteReader(Buffer.from([1, 5, 65])))).toThrow(
      expect.objectContaining({ code: 'STATE_CORRUPT' }),
    )
  })

  it('write all safe integers in one way', () => {
    fc.assert(
      fc.property(micros, (n) => {
        const writer = new ByteWriter(1)
        writer.int(n)
        writer.uint(Math.abs(n))
        const reader = new ByteReader(writer.bytes())
        expect(reader.int()).toBe(n + 0)
        expect(reader.uint()).toBe(Math.abs(n))
      }),
    )
  })
})
