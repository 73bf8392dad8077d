import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { parseJson } from '../../kernel/values/parse-json.ts'
import { serviceValuesWriter } from '../../serving/protocols/http/response/json.ts'
import { jsonCanSay, recordWriter, valueWriter } from '../../serving/value-text.ts'

describe('parseJson', () => {
  it('keeps integers beyond 2^53 exactly and everything else as JSON.parse does', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.json(), (big, other) => {
        const parsed = parseJson(`{"big":[${big}],"other":${other}}`) as { big: unknown[]; other: unknown }
        expect(BigInt(parsed.big[0] as bigint)).toBe(big)
        // an integer literal among the other values may be beyond 2^53 as well
        const numbers = JSON.stringify(parsed.other, (_key, value: unknown) => (typeof value === 'bigint' ? Number(value) : value))
        expect(numbers).toBe(JSON.stringify(JSON.parse(other)))
      }),
    )
  })

  it('leaves floats with many digits floats', () => {
    expect(parseJson('[0.12345678901234567890, 1e300, 12345678901234567890.5]')).toEqual([0.12345678901234568, 1e300, 12345678901234567000])
  })

  it('does not take digits in a text for a number', () => {
    expect(parseJson('{"id":"12345678901234567890"}')).toEqual({ id: '12345678901234567890' })
  })
})

describe('valueWriter', () => {
  it('writes values that read back exactly', () => {
    const int64 = valueWriter({ kind: 'int64' })
    const float64 = valueWriter({ kind: 'float64' })
    const text = valueWriter({ kind: 'string' })
    const time = valueWriter({ kind: 'timestamp' })
    fc.assert(
      fc.property(
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.string({ unit: 'binary' }),
        fc.maxSafeInteger(),
        (i, f, s, t) => {
          expect(int64(i)).toBe(i.toString())
          expect(JSON.parse(float64(f))).toBe(f + 0)
          expect(JSON.parse(text(s))).toBe(s)
          expect(time(t)).toBe(JSON.stringify(formatTimestamp(t)))
        },
      ),
    )
  })

  it('writes values that JSON lacks as null', () => {
    const write = recordWriter([
      { name: 'a', type: { kind: 'float64' } },
      { name: 'b"', type: { kind: 'vector', length: 2 } },
      { name: 'c', type: { kind: 'float32' } },
      { name: 'd', type: { kind: 'string' } },
    ])
    const json = write([Number.NaN, new Float32Array([1.5, Number.POSITIVE_INFINITY]), Number.NEGATIVE_INFINITY, null])
    expect(JSON.parse(json)).toEqual({ a: null, 'b"': [1.5, null], c: null, d: null })
    expect(recordWriter([])([])).toBe('{}')
  })

  it('writes a list as an array and counts as an object, in their own order', () => {
    const write = recordWriter([
      { name: 'list', type: { kind: 'list', of: { kind: 'int64' }, nulls: true } },
      { name: 'times', type: { kind: 'list', of: { kind: 'timestamp' }, nulls: false } },
      { name: 'counts', type: { kind: 'counts' } },
      { name: 'none', type: { kind: 'counts' } },
    ])
    const counts = new Map([
      ['b"', 2],
      ['404', 1],
      ['__proto__', 3],
    ])
    expect(write([[2n ** 60n, null], [0], counts, null])).toBe(
      '{"list":[1152921504606846976,null],"times":["1970-01-01T00:00:00Z"],"counts":{"b\\"":2,"404":1,"__proto__":3},"none":null}',
    )
    expect([jsonCanSay([1, null]), jsonCanSay([1, Number.NaN]), jsonCanSay(counts)]).toEqual([true, false, true])
  })

  it('marks such a value INVALID', () => {
    const feature = { required: false, view: 'v@1', use: 0, inputs: [0], nullable: true } as const
    const write = serviceValuesWriter([
      { ...feature, name: 'x', type: { kind: 'float64' } },
      { ...feature, name: 'y', type: { kind: 'vector', length: 1 } },
      { ...feature, name: 'z', type: { kind: 'float64' } },
    ])
    const row = {
      values: [Number.NaN, new Float32Array([Number.NaN]), 1],
      statuses: [0, 0, 0],
      eventTimes: [5, null, 5],
      missing: [],
    } as const
    expect(JSON.parse(write.features(row))).toEqual({ x: null, y: [null], z: 1 })
    expect(JSON.parse(write.statuses(row))).toEqual({ x: 'INVALID', y: 'INVALID', z: 'PRESENT' })
    expect(JSON.parse(write.eventTimes(row))).toEqual({ x: '1970-01-01T00:00:00.000005Z', y: null, z: '1970-01-01T00:00:00.000005Z' })
  })
})
