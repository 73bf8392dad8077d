import { expect, it } from 'vitest'
import { formatAge, formatDuration, formatNumber, keepUnits, shortFloat } from '../../ui/parts/format.ts'

const noon = Date.parse('2001-07-01T12:00:00Z')

it.each([
  ['2001-07-01T11:57:00Z', '3 min ago', '3 min before'],
  ['2001-07-01T14:10:00Z', 'in 2 h', '2 h after'],
  ['2001-07-01T12:00:01Z', 'now', 'then'],
])('the age of %s at noon is "%s", and "%s" once noon is past', (moment, present, past) => {
  expect([formatAge(moment, noon), formatAge(moment, noon, true)]).toEqual([present, past])
})

it.each([
  [0, '1 to 1'],
  [Math.log10(39_216), '39,220 to 1'],
  [3, '1,000 to 1'],
  [-1, '0.1 to 1'],
  [12, '1E12 to 1'],
])('evidence of %d is odds: %s', (log10, text) => {
  expect(formatNumber(log10, 'odds')).toBe(text)
})

it('a duration of years says years', () => {
  expect(formatDuration(9282 * 86_400)).toBe('25 y')
})

it('no line breaks between a number and its unit, and other spaces stay', () => {
  expect(keepUnits('15.4 % of 13 in 82 ms, up to 5 days of 3 hits, 39,000 to 1')).toBe(
    '15.4\u00a0% of 13 in 82\u00a0ms, up to 5 days of 3 hits, 39,000\u00a0to 1',
  )
  expect(keepUnits(null)).toBe(null)
})

it.each([
  ['9242090123456789000', 'float64', '9.24209e+18'],
  ['0.34920634920634924', 'float64', '0.349206'],
  ['4500000.25', 'float32', '4.5e+6'],
  ['2.8387137184698313e-10', 'float64', '2.83871e-10'],
  ['569000.2500001', 'float64', '569000'],
  ['-3151612345678901234', 'int64', '-3151612345678901234'],
  ['0000012345678', 'string', '0000012345678'],
  ['"NaN" and more', 'float64', '"NaN" and more'],
])('the value %s of a %s is shown as %s', (text, type, shown) => {
  expect(shortFloat(text, type)).toBe(shown)
})
