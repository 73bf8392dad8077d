import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ByteWriter } from '../../kernel/values/binary.ts'
import { compileView } from '../../kernel/compile-view.ts'
import type { EntityState, ViewValues } from '../../kernel/states/state.ts'
import { maxPendingRows, maxWaitingMoments, statusNames } from '../../kernel/states/state.ts'
import { allBelow } from '../../kernel/states/frontier.ts'
import { decodeStored, encodeStored, readHeader } from '../../kernel/states/stored-state.ts'
import type { Column, Value } from '../../kernel/values/value-type.ts'
import { canonical } from '../../kernel/values/value-type.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { budget } from '../budget.ts'
import {
  allColumns,
  everyMinutes,
  featuresArbitrary,
  hour,
  minute,
  oracle,
  origins,
  type RawRow,
  rowsArbitrary,
  timeArbitrary,
  viewSpec,
  visibleAt,
} from './view-oracle.ts'

const [origin] = origins
const latestI = { kind: 'latest', name: 'i', type: { kind: 'int32' }, column: 'i', default: null, required: false } as const
const countAll = {
  kind: 'window',
  name: 'n',
  type: { kind: 'int32' },
  aggregate: 'count',
  column: null,
  default: null,
  required: false,
} as const
const end = origin + 18 * hour
const availability = fc.constantFrom({ kind: 'continuous' } as const, everyMinutes(5, 0), everyMinutes(30, minute))
const worldFrom = (start: number) => fc.record({ features: featuresArbitrary, availability, rows: rowsArbitrary(start, 40) })

function plan({
  features,
  availability: when,
}: {
  features: Parameters<typeof viewSpec>[1]
  availability: Parameters<typeof viewSpec>[2]
}): ViewPlan {
  return compileView({ spec: viewSpec('things', features, when), code: null, fingerprint: 'f' })
}

function fold(view: ViewPlan, state: EntityState, rows: readonly RawRow[], now: number): EntityState {
  const slots = view.columns.map(({ name }) => allColumns.findIndex((column) => column.name === name))
  for (const { eventTime, knownTime, tie, values } of rows) {
    const row = view.fold(
      eventTime,
      knownTime,
      tie,
      slots.map((slot) => canonicalOrNull(slot, values[slot] ?? null)),
    )
    if (row !== null) state.add(row, now)
  }
  return state
}

function canonicalOrNull(slot: number, value: Value | null): Value | null {
  return value === null ? null : canonical((allColumns[slot] as Column).type, value)
}

function body(state: EntityState): string {
  const writer = new ByteWriter()
  state.encode(writer)
  return writer.bytes().toString('hex')
}

function answer(state: EntityState, t: number): unknown {
  return named(state.valueAt(t))
}

/** As a server asks: no state is made. */
function answerOfBytes(view: ViewPlan, bytes: Buffer, t: number): unknown {
  const { highWater, bodyAt } = readHeader(bytes, view.id)
  return named(view.valueAt(bytes, bodyAt, highWater, t))
}

function named({ values, statuses, eventTime }: ViewValues): unknown {
  return { values, statuses: statuses.map((s) => statusNames[s]), eventTime }
}

describe.each(origins)('a view state of rows from %i µs on', (start) => {
  const end = start + 18 * hour
  const world = worldFrom(start)
  const times = fc.array(timeArbitrary(start, 18), { minLength: 1, maxLength: 12 })

  it('answers like a fold over all visible rows, at every moment of an ordered pass', () => {
    fc.assert(
      fc.property(world, times, ({ rows, ...definition }, moments) => {
        const view = plan(definition)
        const state = view.newState()
        const waiting = [...rows].sort((a, b) => visibleAt(definition.availability, a) - visibleAt(definition.availability, b))
        for (const t of moments.toSorted((a, b) => a - b)) {
          while (waiting[0] !== undefined && visibleAt(definition.availability, waiting[0]) <= t) fold(view, state, waiting.splice(0, 1), t)
          expect(answer(state, t)).toEqual(oracle(view.spec, rows, t))
        }
      }),
      { numRuns: budget(1500) },
    )
  })

  it('answers the same from stored bytes, for rows in any order, later ones pending', () => {
    fc.assert(
      fc.property(world, times, ({ rows, ...definition }, moments) => {
        const view = plan(definition)
        const [run, ...later] = moments.toSorted((a, b) => a - b) as [number, ...number[]]
        const bytes = encodeStored(fold(view, view.newState(), rows, run), allBelow(7))
        for (const t of [run, ...later]) {
          expect(answer(decodeStored(view, bytes), t)).toEqual(oracle(view.spec, rows, t))
          expect(answerOfBytes(view, bytes, t)).toEqual(answer(decodeStored(view, bytes), t))
        }
      }),
      { numRuns: budget(1000) },
    )
  })

  it('has one body for the same rows, in any order and any split into runs', () => {
    fc.assert(
      fc.property(world, fc.infiniteStream(fc.nat()), fc.array(fc.nat(40), { maxLength: 3 }), ({ rows, ...definition }, order, cuts) => {
        const view = plan(definition)
        const shuffled = rows.map((row) => ({ row, at: order.next().value as number })).sort((a, b) => a.at - b.at)
        let bytes = encodeStored(view.newState(), allBelow(0))
        let from = 0
        for (const [i, cut] of [...cuts.toSorted((a, b) => a - b), rows.length].entries()) {
          const state = decodeStored(view, bytes)
          fold(
            view,
            state,
            shuffled.slice(from, cut).map((s) => s.row),
            start + i * 4 * hour,
          )
          state.advance(start + i * 4 * hour)
          bytes = encodeStored(state, allBelow(i))
          from = Math.max(from, cut)
        }
        const inRuns = decodeStored(view, bytes)
        inRuns.advance(end)
        const atOnce = fold(view, view.newState(), rows, end)
        expect(body(inRuns)).toBe(body(atOnce))
        expect(inRuns.highWater).toBe(atOnce.highWater)
      }),
      { numRuns: budget(1000) },
    )
  })

  it('equals its merged parts after any reads, and leaves the other part unchanged', () => {
    const moment = fc.integer({ min: 0, max: 18 }).map((h) => start + h * hour)
    fc.assert(
      fc.property(
        world,
        fc.infiniteStream(fc.boolean()),
        moment,
        moment,
        fc.boolean(),
        ({ rows, ...definition }, sides, first, second, ask) => {
          const view = plan(definition)
          const side = rows.map(() => sides.next().value)
          const one = fold(
            view,
            view.newState(),
            rows.filter((_, i) => side[i]),
            first,
          )
          const other = fold(
            view,
            view.newState(),
            rows.filter((_, i) => !side[i]),
            second,
          )
          if (ask) for (const state of [one, other]) state.valueAt(Math.max(state.highWater, first))
          const before = body(other)
          one.merge(other)
          expect(body(other)).toBe(before)
          one.advance(end)
          expect(body(one)).toBe(body(fold(view, view.newState(), rows, end)))
          expect(answer(one, end)).toEqual(oracle(view.spec, rows, end))
        },
      ),
      { numRuns: budget(1000) },
    )
  })
})

describe('a view state', () => {
  it('includes rows whose derived filter is true, not false or null', () => {
    const base = { default: null, required: false, where: 'late' }
    const count = { ...base, type: { kind: 'int32' }, aggregate: 'count', column: null } as const
    const spec = {
      ...viewSpec(
        'things',
        [
          { ...count, kind: 'window', name: 'inWindow', windowMicros: hour, hopMicros: 5 * minute },
          { ...count, kind: 'lifetime', name: 'ever' },
          { ...base, kind: 'latest', name: 'latest', type: { kind: 'int32' }, column: 'i', ttlMicros: 4 * hour },
        ],
        { kind: 'continuous' },
      ),
      derive: [{ name: 'late', type: { kind: 'bool' } }],
      code: 'x',
    } as const
    const view = compileView({ spec, code: '(row) => ({ late: row.i === null ? null : row.i > 0 })', fingerprint: 'f' })
    const rows = [7, 8, 0, null].map((i, h) => ({ eventTime: origin + h * hour, knownTime: null, tie: h, values: [i, null, null, null] }))
    const stored = encodeStored(fold(view, view.newState(), rows, origin + hour), allBelow(1))
    const at = (h: number): unknown => answer(decodeStored(view, stored), origin + h * hour)
    expect(at(1)).toMatchObject({ values: [2, 2, 8], eventTime: origin + hour })
    expect(at(3)).toMatchObject({ values: [0, 2, 8], eventTime: origin + 3 * hour })
    expect(at(6)).toMatchObject({ values: [0, 2, null], statuses: ['PRESENT', 'PRESENT', 'OUTSIDE_MAX_AGE'] })
  })

  it('keeps the known time of its greatest row, so an earlier correction does not win', () => {
    const view = plan({
      features: [{ kind: 'latest', name: 'i', type: { kind: 'int32' }, column: 'i', ttlMicros: null, default: null, required: false }],
      availability: { kind: 'continuous' },
    })
    const row = (known: number, i: number, tie: number): RawRow => ({
      eventTime: origin,
      knownTime: origin + known,
      tie,
      values: [i, null, null, null],
    })
    const stored = encodeStored(fold(view, view.newState(), [row(2 * hour, 111, 1)], end), allBelow(1))
    expect(fold(view, decodeStored(view, stored), [row(hour, 222, 2)], end).valueAt(end).values).toEqual([111])
    expect(fold(view, decodeStored(view, stored), [row(3 * hour, 333, 2)], end).valueAt(end).values).toEqual([333])
  })

  it('refuses more pending rows than its bound, and bytes after its end', () => {
    const view = plan({
      features: [{ kind: 'latest', name: 'i', type: { kind: 'int32' }, column: 'i', ttlMicros: null, default: null, required: false }],
      availability: { kind: 'continuous' },
    })
    const later = Array.from({ length: maxPendingRows + 1 }, (_, tie) => ({
      eventTime: end,
      knownTime: null,
      tie,
      values: [1, null, null, null],
    }))
    expect(() => fold(view, view.newState(), later, origin)).toThrow(
      expect.objectContaining({ code: 'PENDING_OVERFLOW', message: expect.stringContaining('"things@1"') }),
    )
    const stored = encodeStored(fold(view, view.newState(), later.slice(0, 3), origin), allBelow(1))
    expect(decodeStored(view, stored).valueAt(end).values).toEqual([1])
    expect(() => decodeStored(view, Buffer.concat([stored, Buffer.from('zzz')]))).toThrow(
      expect.objectContaining({ code: 'STATE_CORRUPT' }),
    )
  })

  it('of a scheduled view takes any number of waiting rows in bounded bytes', () => {
    const view = plan({
      features: [
        { ...latestI, ttlMicros: null },
        { ...countAll, windowMicros: hour, hopMicros: 5 * minute },
      ],
      availability: everyMinutes(5, minute),
    })
    const rows = (count: number, step = 0): RawRow[] =>
      Array.from({ length: count }, (_, tie) => ({ eventTime: end + tie * step, knownTime: null, tie, values: [tie, null, null, null] }))
    const few = encodeStored(fold(view, view.newState(), rows(200), origin), allBelow(1))
    const many = encodeStored(fold(view, view.newState(), rows(maxPendingRows + 1), origin), allBelow(1))
    expect(many.length).toBeLessThan(few.length + 10)
    expect(decodeStored(view, many).valueAt(end + minute - 1)).toMatchObject({ values: [null, 0] })
    expect(answerOfBytes(view, many, end + minute - 1)).toMatchObject({ statuses: ['NOT_FOUND', 'NOT_FOUND'] })
    expect(answerOfBytes(view, many, end + minute)).toMatchObject({ values: [maxPendingRows, maxPendingRows + 1] })
    expect(() => fold(view, view.newState(), rows(maxWaitingMoments, 5 * minute), origin)).not.toThrow()
    expect(() => fold(view, view.newState(), rows(maxWaitingMoments + 1, 5 * minute), origin)).toThrow(
      expect.objectContaining({ code: 'PENDING_OVERFLOW', message: expect.stringContaining('"things@1"') }),
    )
  })

  it('of a scheduled view reads the pending rows that an earlier build stored', () => {
    const features = [{ ...latestI, ttlMicros: null }]
    const [before, now] = [
      plan({ features, availability: { kind: 'continuous' } }),
      plan({ features, availability: everyMinutes(5, minute) }),
    ]
    const state = before.newState()
    for (const [i, visible] of [end, end + 5 * minute].entries())
      state.add({ eventTime: end - i, knownTime: end - i, visibleAt: visible + minute, tie: i, values: [i + 1] }, end)
    const stored = encodeStored(state, allBelow(1))
    const ask = (t: number): unknown => decodeStored(now, stored).valueAt(t).values
    expect([ask(end), ask(end + minute), answerOfBytes(now, stored, end + 6 * minute)]).toMatchObject([[null], [1], { values: [1] }])
  })

  it('refuses a moment before its high-water mark', () => {
    const view = plan({
      features: [{ kind: 'latest', name: 'i', type: { kind: 'int32' }, column: 'i', ttlMicros: null, default: null, required: false }],
      availability: { kind: 'continuous' },
    })
    const state = fold(view, view.newState(), [{ eventTime: origin, knownTime: origin + hour, tie: 1, values: [1, null, null, null] }], end)
    expect(() => state.valueAt(origin + hour - 1)).toThrow(expect.objectContaining({ code: 'HISTORY_NEEDED' }))
    expect(state.valueAt(origin + hour).values).toEqual([1])
  })

  it('keeps no more tiles than its windows can need', () => {
    const view = plan({
      features: [
        {
          kind: 'window',
          name: 'n',
          type: { kind: 'int32' },
          aggregate: 'count',
          column: null,
          windowMicros: hour,
          hopMicros: 5 * minute,
          default: null,
          required: false,
        },
      ],
      availability: { kind: 'continuous' },
    })
    const state = view.newState()
    for (let m = 0; m < 100_000; m++)
      fold(
        view,
        state,
        [{ eventTime: origin + m * minute, knownTime: null, tie: m, values: [null, null, null, null] }],
        origin + m * minute,
      )
    expect(encodeStored(state, allBelow(1)).length).toBeLessThan(100)
    expect(state.valueAt(origin + 99_999 * minute).values).toEqual([65])
  })

  it('names view, moment and column if a transform returns the wrong type', () => {
    const spec = {
      ...viewSpec(
        'things',
        [{ kind: 'latest', name: 'd', type: { kind: 'int32' }, column: 'd', ttlMicros: null, default: null, required: false }],
        { kind: 'continuous' },
      ),
      derive: [{ name: 'd', type: { kind: 'int32' } }],
      code: 'x',
    } as const
    const view = (code: string): ViewPlan => compileView({ spec, code, fingerprint: 'f' })
    const values = [1, null, null, null]
    expect(view('(row) => ({ d: row.i + 1 })').fold(origin, null, 1, values)?.values).toEqual([1, null, null, null, 2])
    expect(view('(row) => null').fold(origin, null, 1, values)).toBeNull()
    expect(() => view('(row) => ({ d: row.i / 2 })').fold(origin, null, 1, values)).toThrow(
      /"things@1".*2001-03-01T00:00:00Z.*"d" is 0.5, which is not int32/,
    )
    expect(() => view('(row) => ({})').fold(origin, null, 1, values)).toThrow(/returned no "d"/)
    expect(() => view('(row) => ({ d: Date.now() })').fold(origin, null, 1, values)).toThrow(/Date.now\(\)/)
    expect(() => view('(row) => ({ d: process.pid })').fold(origin, null, 1, values)).toThrow(
      expect.objectContaining({ code: 'TRANSFORM_FAILED' }),
    )
  })
})
