import { expect, it } from 'vitest'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { OnlineAnswer } from '../../online/read.ts'
import type { StaleCache } from '../../serving/features/stale-cache.ts'
import { createStaleCache } from '../../serving/features/stale-cache.ts'

const delays = { id: 'delays@1', fingerprint: 'first' } as unknown as ViewPlan
const values = { values: [], statuses: [], eventTime: null }

/** The state that was read of an entity; null: none is stored, `'lost'`: it may be lost. */
function answerOf(state: string | Buffer | null): OnlineAnswer {
  const known = state !== 'lost'
  const bytes = !known || state === null ? null : Buffer.from(state)
  return { values: known ? values : null, frontier: null, highWater: 0, bytes }
}

function states(more: { boundMs?: number; maxBytes?: number } = {}) {
  const clock = { ms: 0 }
  const cache = createStaleCache({ boundMs: 1000, maxBytes: 1_000_000, ...more, now: () => clock.ms })
  return { clock, cache, read: (read: Readonly<Record<string, string | Buffer | null>>) => noteRead(cache, cache.begin(), read) }
}

function noteRead(cache: StaleCache, begun: ReturnType<StaleCache['begin']>, read: Readonly<Record<string, string | Buffer | null>>) {
  const names = Object.keys(read)
  cache.note(
    begun,
    names.map((name) => ({ plan: delays, key: name })),
    names.map((name) => answerOf(read[name] ?? null)),
  )
}

const found = (cache: StaleCache, key: string, plan = delays) => cache.find(plan, key)?.bytes.toString() ?? null

it('gives back what was read within the bound, with the age of its read', () => {
  const { clock, cache, read } = states()
  const bytes = Buffer.from('first')
  const begun = cache.begin()
  clock.ms = 100
  cache.note(begun, [{ plan: delays, key: 'a' }], [{ ...answerOf(''), bytes }])
  bytes.fill(0)
  read({ b: 'other' })
  clock.ms = 400
  expect(cache.find(delays, 'a')).toEqual({ bytes: Buffer.from('first'), ageMs: 400 })
  read({ a: 'second' })
  clock.ms = 1300
  expect(cache.find(delays, 'a')).toEqual({ bytes: Buffer.from('second'), ageMs: 900 })
  expect([found(cache, 'b'), found(cache, 'c'), found(cache, 'a', { ...delays, id: 'delays@2' })]).toEqual([null, null, null])
  expect(found(cache, 'a', { ...delays, fingerprint: 'of another registry' })).toBeNull()
  clock.ms = 1401
  expect(found(cache, 'a')).toBeNull()
})

it('forgets a state that is known to be there no more, and none that may be lost', () => {
  const { cache, read } = states()
  read({ a: 'x', b: 'y' })
  read({ a: null, b: 'lost' })
  expect([found(cache, 'a'), found(cache, 'b')]).toEqual([null, 'y'])
})

it('clears all entries on request, including pending reads', () => {
  const { cache, read } = states()
  read({ a: 'x' })
  const begun = cache.begin()
  cache.forget()
  expect(found(cache, 'a')).toBeNull()
  noteRead(cache, begun, { a: 'of before' })
  expect(found(cache, 'a')).toBeNull()
  read({ a: 'of after' })
  expect(found(cache, 'a')).toBe('of after')
})

it('is bounded, evicts the least recently read, and skips entries that are too large', () => {
  const { cache, read } = states({ maxBytes: 9_000 })
  const large = Buffer.alloc(2_500, 'x')
  for (const key of ['a', 'b', 'c', 'a', 'd']) read({ [key]: large })
  expect(['a', 'b', 'c', 'd'].map((key) => found(cache, key) !== null)).toEqual([true, false, true, true])
  read({ huge: Buffer.alloc(10_000), a: Buffer.alloc(10_000) })
  expect(['a', 'c', 'd', 'huge'].map((key) => found(cache, key) !== null)).toEqual([false, true, true, false])
})
