import { expect, it } from 'vitest'
import { formatAge } from '../../ui/parts/format.ts'

const noon = Date.parse('2001-07-01T12:00:00Z')

it.each([
  ['2001-07-01T11:57:00Z', '3 min ago', '3 min before'],
  ['2001-07-01T14:10:00Z', 'in 2 h', '2 h after'],
  ['2001-07-01T12:00:01Z', 'now', 'then'],
])('the age of %s at noon is "%s", and "%s" once noon is past', (moment, present, past) => {
  expect([formatAge(moment, noon), formatAge(moment, noon, true)]).toEqual([present, past])
})
