import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LockstepError } from '../../kernel/errors.ts'
import type { Prediction } from '../../inference/load-model.ts'
import { createPredictionCache } from '../../inference/prediction-cache.ts'
import { createRowKey } from '../../inference/row-key.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import type { FeatureRow } from '../../inference/tensor-writer.ts'
import { valuesOf } from '../../inference/tensor-writer.ts'
import { budget } from '../budget.ts'
import { onnx } from '../serving/fixtures.ts'
import { inspectModel } from '../../inference/inspect-model.ts'
import { until } from '../serving/gate.ts'
import { bindTo } from '../serving/load.ts'

const failing = -1

/**
 * A cache before a model that answers twice a row's first value, with what it was asked and a clock that is set by
 * hand.
 */
function cached(options: { readonly ttlMs?: number; readonly maxEntries?: number; readonly version?: string } = {}) {
  const runs: (readonly FeatureRow[])[] = []
  const clock = { ms: 1 }
  const lookups = { hits: 0, shared: 0, misses: 0 }
  const { ttlMs = 1000, maxEntries = 100, version = 'double@1' } = options
  const columns = [{ feature: 0, name: 'x', type: { kind: 'float64' }, offset: 0, width: 1 }] as const
  const cache = createPredictionCache(
    async (rows) => {
      runs.push(rows)
      await new Promise((resolve) => setImmediate(resolve))
      if (rows.some((row) => valuesOf(row)[0] === failing)) throw new LockstepError('MODEL_FAILED', 'It fails.')
      return rows.map((row): Prediction => [2 * Number(valuesOf(row)[0])])
    },
    {
      ttlMicros: ttlMs * 1000,
      maxEntries,
      keyOf: createRowKey({ inputs: [{ name: 'x', type: 'float64', width: 1, rowShape: [1], columns }] }, version),
      now: () => clock.ms,
      onLookups(hits, shared, misses) {
        lookups.hits += hits
        lookups.shared += shared
        lookups.misses += misses
      },
    },
  )
  return { cache, runs, clock, lookups, ask: (...xs: readonly number[]) => cache.predict(xs.map((x) => [x])) }
}

describe('the prediction cache', () => {
  it('answers cached rows, runs missing ones, and counts both', async () => {
    const { cache, runs, lookups, ask } = cached()
    expect(await ask(1, 2)).toEqual([[2], [4]])
    expect(await ask(2, 3, 1)).toEqual([[4], [6], [2]])
    expect(runs).toEqual([[[1], [2]], [[3]]])
    expect(lookups).toEqual({ hits: 2, shared: 0, misses: 3 })
    expect(await ask()).toEqual([])
    cache.close()
  })

  it('computes an answer once for all concurrent callers', async () => {
    const { cache, runs, lookups, ask } = cached()
    expect(await Promise.all([ask(1, 1), ask(2, 1), ask(1)])).toEqual([[[2], [2]], [[4], [2]], [[2]]])
    expect(runs).toEqual([[[1]], [[2]]])
    expect(lookups).toEqual({ hits: 0, shared: 3, misses: 2 })
    cache.close()
  })

  it('does not cache a failure, which fails only its own caller', async () => {
    const { cache, ask } = cached()
    const [both, good] = await Promise.allSettled([ask(failing, 1), ask(1)])
    expect([both.status, good]).toEqual(['rejected', { status: 'fulfilled', value: [[2]] }])
    await expect(ask(failing)).rejects.toMatchObject({ code: 'MODEL_FAILED' })
    expect(await ask(1)).toEqual([[2]])
    cache.close()
  })

  it('never answers entries older than their ttl, however often they are read', async () => {
    const { cache, runs, clock, ask } = cached({ ttlMs: 100 })
    for (const ms of [1, 50, 101]) {
      clock.ms = ms
      await ask(1)
    }
    expect(runs).toHaveLength(1)
    clock.ms = 102
    await ask(1)
    expect(runs).toHaveLength(2)
    cache.close()
  })

  it('drops old entries automatically within twice their ttl', async () => {
    const { cache, clock, ask } = cached({ ttlMs: 20 })
    await ask(1, 2)
    expect(cache.size).toBe(2)
    clock.ms += 21
    await until(async () => cache.size === 0)
    cache.close()
  })

  it.each([1, 2, 10])('holds at most %s entries, the most recently used', async (maxEntries) => {
    const { cache, runs, ask } = cached({ maxEntries, ttlMs: 3_600_000 })
    for (let i = 0; i < 50; i++) await ask(i)
    const before = runs.length
    await ask(49)
    expect(runs.length).toBe(before)
    for (let i = 48; i >= 0; i--) await ask(i)
    expect(runs.length - before).toBeGreaterThanOrEqual(50 - maxEntries)
    cache.close()
  })

  it('clears stored and pending entries, then continues', async () => {
    const { cache, runs, ask } = cached()
    await ask(1)
    const making = ask(2)
    cache.forget()
    expect(await ask(1, 2)).toEqual([[2], [4]])
    expect(await making).toEqual([[4]])
    expect(runs.flat()).toEqual([[1], [2], [1], [2]])
    expect(await ask(1, 2)).toEqual([[2], [4]])
    expect(runs.flat()).toHaveLength(4)
  })

  it('keeps entries that are read all the time, under any other load', async () => {
    const { cache, runs, ask } = cached({ maxEntries: 10, ttlMs: 3_600_000 })
    for (let i = 0; i < 100; i++) await ask(1000, i)
    expect(runs.flat().filter((row) => valuesOf(row)[0] === 1000)).toHaveLength(1)
    cache.close()
  })
})

describe('the key of a row', () => {
  it('differs exactly when the fed values or the version differ', async () => {
    const binding = bindTo(await inspectModel(await onnx('named')), 'typed', 'typed')
    const keyOf = createRowKey(binding, 'typed@1')
    const other = createRowKey(binding, 'typed@2')
    const float = fc.float({ noDefaultInfinity: true }).map((x) => (Object.is(x, -0) ? 0 : x))
    const row = fc.tuple(
      fc.option(fc.constantFrom(0, 1, Number.NaN)),
      fc.option(fc.constantFrom(0n, 1n, 2n ** 62n)),
      fc.option(fc.constantFrom('', 'a', 'ab', '\0', 'x'.repeat(5000))),
      fc.option(fc.boolean()),
      fc.option(fc.constantFrom([0, 0], [0, 1], [Number.NaN, 1]).map((v) => new Float32Array(v))),
    )
    fc.assert(
      fc.property(row, row, float, (a, b, x) => {
        const same = a.every((value, i) => isSame(value, b[i]))
        expect(keyOf(a) === keyOf(b)).toBe(same)
        expect(keyOf(a)).not.toBe(other(a))
        expect(keyOf(a)).toBe(keyOf([...a, x]))
        expect(keyOf(a)).toHaveLength(22)
      }),
      { numRuns: budget(2000) },
    )
  })
})

function isSame(a: Value | null, b: Value | null | undefined): boolean {
  if (a instanceof Float32Array && b instanceof Float32Array) return a.every((each, i) => Object.is(each, b[i]))
  return Object.is(a, b)
}
