import { expect, it } from 'vitest'
import { createRecentStates } from '../../serving/recent-states.ts'

const keyOf = (key: string) => ({ view: 'delays@1', entity: 'airport', key }) as const

function states(more: { boundMs?: number; maxBytes?: number } = {}) {
  const clock = { ms: 0 }
  return { clock, recent: createRecentStates({ boundMs: 1000, maxBytes: 1_000_000, ...more, now: () => clock.ms }) }
}

it('gives back what was read within the bound, as it was then', () => {
  const { clock, recent } = states()
  const read = Buffer.from('first')
  recent.note([keyOf('a'), keyOf('b')], [read, Buffer.from('other')])
  read.fill(0)
  clock.ms = 400
  expect(recent.find(keyOf('a'))).toEqual({ bytes: Buffer.from('first'), ageMs: 400 })
  recent.note([keyOf('a')], [Buffer.from('second')])
  clock.ms = 1300
  expect(recent.find(keyOf('a'))).toEqual({ bytes: Buffer.from('second'), ageMs: 900 })
  expect([recent.find(keyOf('b')), recent.find({ ...keyOf('a'), view: 'delays@2' }), recent.find(keyOf('c'))]).toEqual([null, null, null])
  clock.ms = 1401
  expect(recent.find(keyOf('a'))).toBeNull()
})

it('forgets a state that is there no more, and all when it is told to', () => {
  const { recent } = states()
  recent.note([keyOf('a'), keyOf('b')], [Buffer.from('x'), Buffer.from('y')])
  recent.note([keyOf('a')], [null])
  expect([recent.find(keyOf('a')), recent.find(keyOf('b'))?.bytes]).toEqual([null, Buffer.from('y')])
  recent.forget()
  expect(recent.find(keyOf('b'))).toBeNull()
})

it('holds no more than it may, and lets go first of what was read longest ago', () => {
  const { recent } = states({ maxBytes: 10_000 })
  const large = Buffer.alloc(2_500)
  for (const key of ['a', 'b', 'c']) recent.note([keyOf(key)], [large])
  recent.note([keyOf('a')], [large])
  recent.note([keyOf('d')], [large])
  expect(['a', 'b', 'c', 'd'].map((key) => recent.find(keyOf(key)) !== null)).toEqual([true, false, true, true])
  recent.note([keyOf('huge')], [Buffer.alloc(20_000)])
  expect(['a', 'c', 'd', 'huge'].map((key) => recent.find(keyOf(key)))).toEqual([null, null, null, null])
  recent.note([keyOf('a')], [large])
  expect(recent.find(keyOf('a'))).not.toBeNull()
})
