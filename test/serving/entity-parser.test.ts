import { describe, expect, it } from 'vitest'
import { encodeKey } from '../../kernel/values/entity-key.ts'
import { createEntityParser } from '../../serving/features/entity-parser.ts'
import { servicePlan } from './plans.ts'

const flight = createEntityParser(servicePlan('flight'))
const accounts = createEntityParser(servicePlan('accounts'))
const route = createEntityParser(servicePlan('route'))

describe('the entity parser', () => {
  it('encodes keys as the stores do and takes request values in order', () => {
    const plan = servicePlan('flight')
    const { keys, request } = flight({ distance: 594, airport: 'ATL' }, 0)
    expect(keys).toEqual(plan.uses.map((use) => encodeKey(use.plan.key, ['ATL'])))
    expect(request).toEqual([594])
  })

  it('reads each alias under its own key', () => {
    const plan = servicePlan('route')
    const { keys } = route({ airport: 'ATL', destination: 'JFK' }, 0)
    expect(keys).toEqual(plan.uses.map((use) => encodeKey(use.plan.key, [use.alias === null ? 'ATL' : 'JFK'])))
  })

  it('takes an int64 as a number, a bigint or a decimal text', () => {
    const key = accounts({ id: 12n }, 0).keys
    expect(accounts({ id: 12 }, 0).keys).toEqual(key)
    expect(accounts({ id: '12' }, 0).keys).toEqual(key)
    expect(accounts({ id: '9007199254740993' }, 0).keys).toEqual(accounts({ id: 9_007_199_254_740_993n }, 0).keys)
  })

  it.each([
    ['a text', 'ATL', 'INVALID_ENTITY', '"airport"'],
    ['null', null, 'INVALID_ENTITY', '"airport"'],
    ['an array', ['ATL'], 'INVALID_ENTITY', '"distance"'],
    ['a missing key', { distance: 1 }, 'INVALID_ENTITY', '"airport" of entity 3 is missing'],
    ['a null key', { airport: null, distance: 1 }, 'INVALID_ENTITY', '"airport" of entity 3 is null'],
    ['a key of another type', { airport: 7, distance: 1 }, 'INVALID_ENTITY', '"airport"'],
    ['a missing request value', { airport: 'ATL' }, 'MISSING_REQUEST_VALUE', '"distance" of entity 3 is missing'],
    ['a null request value', { airport: 'ATL', distance: null }, 'MISSING_REQUEST_VALUE', '"distance" of entity 3 is null'],
    ['a request value of another type', { airport: 'ATL', distance: 'far' }, 'INVALID_ENTITY', '"distance"'],
    ['an unknown field', { airport: 'ATL', distance: 1, distnace: 1 }, 'INVALID_ENTITY', 'Did you mean "distance"'],
    ['a key from the prototype', Object.create({ airport: 'ATL', distance: 1 }), 'INVALID_ENTITY', '"airport"'],
    ['an own __proto__', JSON.parse('{"__proto__":1,"airport":"ATL","distance":1}'), 'INVALID_ENTITY', '"__proto__"'],
    ['a key that is too long', { airport: 'x'.repeat(2000), distance: 1 }, 'INVALID_ENTITY', '2000 bytes'],
    ['a key with half a character', { airport: 'A\ud800', distance: 1 }, 'INVALID_ENTITY', 'surrogate'],
    ['a number beyond a float', { airport: 'ATL', distance: JSON.parse('-1e400') }, 'INVALID_ENTITY', 'float64'],
    ['an integer beyond a float', { airport: 'ATL', distance: 10n ** 400n }, 'INVALID_ENTITY', 'float64'],
    ['a key with a zero byte', { airport: 'A\0', distance: 1 }, 'INVALID_ENTITY', 'zero byte'],
  ])('refuses %s, naming index and field', (_, entity: unknown, code, part) => {
    const parse = () => flight(entity, 3)
    expect(parse).toThrow(expect.objectContaining({ code }))
    expect(parse).toThrow(part)
    expect(parse).toThrow(/[Ee]ntity 3/)
  })

  it('says what to send for a service without inputs', () => {
    const nothing = createEntityParser({ ...servicePlan('flight'), keys: [], request: [], uses: [] })
    expect(nothing({}, 0)).toEqual({ keys: [], request: [] })
    expect(() => nothing(null, 0)).toThrow('Entity 0 is null; send an object without fields, {}.')
    expect(() => nothing({ airport: 'ATL' }, 0)).toThrow('which the service "flight@1" does not have. It takes none: send {}.')
  })

  it('accepts infinities and NaN as their text forms', () => {
    expect(['Infinity', '-Infinity', 'NaN'].map((distance) => flight({ airport: 'ATL', distance }, 0).request[0])).toEqual([
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
    ])
  })

  it.each([[2n ** 63n], [1.5], ['1.5'], ['x'], [true], ['9223372036854775808']])('refuses %s as an int64', (id) => {
    expect(() => accounts({ id }, 0)).toThrow(expect.objectContaining({ code: 'INVALID_ENTITY' }))
  })

  it('shows an integer as the client wrote it', () => {
    expect(() => accounts({ id: 2n ** 63n }, 0)).toThrow('The field "id" of entity 0 is 9223372036854775808, which is not int64.')
    expect(() => flight({ airport: 2n ** 63n, distance: 1 }, 0)).toThrow('is 9223372036854775808, which is not string')
    expect(() => accounts(2n ** 63n, 0)).toThrow('Entity 0 is 9223372036854775808; send an object')
  })
})
