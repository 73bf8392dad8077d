import { expect, it } from 'vitest'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { OnlineAnswer } from '../../online/read.ts'
import type { RecentStates } from '../../serving/features/stale-cache.ts'
import { createRecentStates } from '../../serving/features/stale-cache.ts'

const delays = { id: 'delays@1', fingerprint: 'first' } as unknown as ViewPlan
const values = { values: [], statuses: [], eventTime: null }

/** What was read of an entity; null: nothing is stored of it, `'lost'`: perhaps it is only lost. */
function answerOf(state: string | Buffer | null): OnlineAnswer {
  const known = state !== 'lost'
  const bytes = !known || state === null ? null : Buffer.from(state)
  return { values: known ? values : null, frontier: null, highWater: 0, bytes }
}

function states(more: { boundMs?: number; maxBytes?: number } = {}) {
  const clock = { ms: 0 }
  const recent = createRecentStates({ boundMs: 1000, maxBytes: 1_000_000, ...more, now: () => clock.ms })
  return { clock, recent, read: (read: Readonly<Record<string, string | Buffer | null>>) => noteRead(recent, recent.begin(), read) }
}

function noteRead(recent: RecentStates, begun: ReturnType<RecentStates['begin']>, read: Readonly<Record<string, string | Buffer | null>>) {
  const names = Object.keys(read)
  recent.note(
    begun,
    names.map((name) => ({ plan: delays, key: name })),
    names.map((name) => answerOf(read[name] ?? null)),
  )
}

const found = (recent: RecentStates, key: string, plan = delays) => recent.find(plan, key)?.bytes.toString() ?? null

it('gives back what was read within the bound, with the age of its read', () => {
  const { clock, recent, read } = states()
  const bytes = Buffer.from('first')
  const begun = recent.begin()
  clock.ms = 100
  recent.note(begun, [{ plan: delays, key: 'a' }], [{ ...answerOf(''), bytes }])
  bytes.fill(0)
  read({ b: 'other' })
  clock.ms = 400
  expect(recent.find(delays, 'a')).toEqual({ bytes: Buffer.from('first'), ageMs: 400 })
  read({ a: 'second' })
  clock.ms = 1300
  expect(recent.find(delays, 'a')).toEqual({ bytes: Buffer.from('second'), ageMs: 900 })
  expect([found(recent, 'b'), found(recent, 'c'), found(recent, 'a', { ...delays, id: 'delays@2' })]).toEqual([null, null, null])
  expect(found(recent, 'a', { ...delays, fingerprint: 'of another registry' })).toBeNull()
  clock.ms = 1401
  expect(found(recent, 'a')).toBeNull()
})

it('forgets a state that is known to be there no more, and none that may be lost', () => {
  const { recent, read } = states()
  read({ a: 'x', b: 'y' })
  read({ a: null, b: 'lost' })
  expect([found(recent, 'a'), found(recent, 'b')]).toEqual([null, 'y'])
})

it('forgets all when it is told to, and what is read meanwhile', () => {
  const { recent, read } = states()
  read({ a: 'x' })
  const begun = recent.begin()
  recent.forget()
  expect(found(recent, 'a')).toBeNull()
  noteRead(recent, begun, { a: 'of before' })
  expect(found(recent, 'a')).toBeNull()
  read({ a: 'of after' })
  expect(found(recent, 'a')).toBe('of after')
})

it('holds no more than it may, lets go first of what was read longest ago, and passes over what is too large', () => {
  const { recent, read } = states({ maxBytes: 9_000 })
  const large = Buffer.alloc(2_500, 'x')
  for (const key of ['a', 'b', 'c', 'a', 'd']) read({ [key]: large })
  expect(['a', 'b', 'c', 'd'].map((key) => found(recent, key) !== null)).toEqual([true, false, true, true])
  read({ huge: Buffer.alloc(10_000), a: Buffer.alloc(10_000) })
  expect(['a', 'c', 'd', 'huge'].map((key) => found(recent, key) !== null)).toEqual([false, true, true, false])
})
