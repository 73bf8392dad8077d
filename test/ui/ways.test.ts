import { expect, it } from 'vitest'
import { waysOf } from '../../ui/parts/ways.ts'
import { offersAt } from './offers.ts'

it('an offer takes the moment of the page where the interface has one', () => {
  const offers = offersAt('2001-07-01T11:30:00Z')
  const panels = (takes: boolean, way: string, tab: string) =>
    offers.filter(({ texts, taking }) => tab in texts && taking.includes(way) === takes).map(({ panel }) => panel)
  expect(panels(true, 'command', 'Command')).toEqual(['quality'])
  expect(panels(true, 'curl', 'curl')).toEqual(['modelTraffic', 'overTime', 'quality'])
  // these are kept as of now, or the same at each moment
  expect(panels(false, 'sql', 'SQL')).toEqual(['deadLetters', 'explainable', 'explain', 'prediction', 'monitors'])
})

it('a moment of the address is one text in SQL and one part of a URL', () => {
  const hostile = `2001-07-01' or 1=1; --`
  for (const { texts, taking } of offersAt(hostile)) {
    if (taking.includes('sql')) expect(texts['SQL']).toContain(`timestamptz '2001-07-01'' or 1=1; --'`)
    if (taking.includes('curl')) expect(texts['curl']).toMatch(/=2001-07-01'%20or%201%3D1%3B%20--"/)
  }
})

it('values of a feature are looked for under each name that a service gives it', () => {
  const uses = ['origin__delay', 'destination__delay'].map((column) => ({ model: 'late', column }))
  expect(waysOf.served('airport@1', 'delay', uses)().sql).toContain("unnest(array['origin__delay', 'destination__delay']) AS feature")
  expect(waysOf.served('airport@1', 'delay', [])().sql).toContain("unnest(array['delay']) AS feature")
})
