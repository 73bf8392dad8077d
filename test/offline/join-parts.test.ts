import { mkdtemp, readdir, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileView } from '../../kernel/compile-view.ts'
import type { ViewValues } from '../../kernel/states/state.ts'
import { Status } from '../../kernel/states/state.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { FeatureSpec } from '../../kernel/specs/view-spec.ts'
import type { Lookup } from '../../offline/lookup.ts'
import { merge } from '../../offline/merge.ts'
import type { AnswerColumns } from '../../offline/answers.ts'
import { createResultBuckets } from '../../offline/result-buckets.ts'
import type { SourceRow } from '../../offline/rows/row-decoder.ts'
import { planPasses } from '../../offline/rows/stream-groups.ts'
import { servedTime } from '../../kernel/view-plan.ts'
import { hour, viewSpec } from '../kernel/view-oracle.ts'
import { lastThing } from './thing-features.ts'

function view(name: string, source: string): ViewPlan {
  const spec = viewSpec(name, [lastThing], { kind: 'continuous' })
  return compileView({
    spec: { ...spec, source: { ...spec.source, name: source, relation: { kind: 'table', table: source } } },
    code: null,
    fingerprint: name,
  })
}

describe('the passes of a join', () => {
  const [departures, delays, weather] = [view('departures', 'flights'), view('delays', 'flights'), view('weather', 'weather')]
  const use = (plan: ViewPlan, key: string) => ({ plan, alias: null, key: [key] })

  it('read a source once, for any number of views and aliases', () => {
    const passes = planPasses([use(departures, 'from'), use(delays, 'from'), use(delays, 'to')])
    expect(passes).toHaveLength(1)
    expect(passes[0]?.streams.map(({ plans }) => plans.map(({ id }) => id))).toEqual([['departures@1', 'delays@1']])
    expect(passes[0]?.mappings).toEqual([
      {
        columns: ['from'],
        asked: [
          { use: 0, stream: 0, plan: 0 },
          { use: 1, stream: 0, plan: 1 },
        ],
      },
      { columns: ['to'], asked: [{ use: 2, stream: 0, plan: 1 }] },
    ])
  })

  it('join views that share a mapping or a source, in any order, and no others', () => {
    const apart = planPasses([use(delays, 'from'), use(weather, 'to')])
    expect(apart).toHaveLength(2)
    const bridged = planPasses([use(delays, 'from'), use(weather, 'to'), use(weather, 'from')])
    expect(bridged).toHaveLength(1)
    expect(bridged[0]?.mappings.flatMap(({ asked }) => asked.map((a) => a.use)).sort()).toEqual([0, 1, 2])
    for (const mapping of bridged[0]?.mappings ?? []) {
      for (const asked of mapping.asked)
        expect(bridged[0]?.streams[asked.stream]?.plans[asked.plan]?.id).toBe([delays, weather, weather][asked.use]?.id)
    }
  })
})

describe('the merge', () => {
  const plan = view('things', 'things')
  const [pass] = planPasses([{ plan, alias: null, key: ['thing'] }])
  const lookup = (key: string, time: number): Lookup => ({ key, time, ordinal: time, mapping: 0 })
  const row = (key: string, time: number): SourceRow => ({
    key,
    eventTime: time,
    knownTime: null,
    sortTime: time,
    tie: time,
    xid: -1,
    values: [time, null, null, null],
  })

  async function* batches<T>(list: readonly T[], size: number): AsyncGenerator<readonly T[]> {
    for (let i = 0; i < list.length; i += size) yield list.slice(i, i + size)
  }

  async function run(lookups: readonly Lookup[], rows: readonly SourceRow[], size = 2): Promise<unknown[]> {
    const answers: unknown[] = []
    if (pass === undefined) throw new Error('there is one pass')
    await merge(pass, batches(lookups, size), [batches(rows, size)], { rule: servedTime, bound: 'at' }, (_, values) =>
      answers.push(values[0]?.values[0]),
    )
    return answers
  }

  it('gives the same answers wherever the batches end', async () => {
    const lookups = [lookup('a', 3), lookup('a', 3), lookup('a', 9), lookup('c', 4), lookup('d', 1)]
    const rows = [row('0', 1), row('a', 1), row('a', 3), row('a', 10), row('b', 2), row('b', 3), row('c', 7), row('d', 0), row('e', 1)]
    for (const size of [1, 2, 3, 4, 100]) expect(await run(lookups, rows, size)).toEqual([3, 3, 3, null, 0])
    expect(await run(lookups, [])).toEqual([null, null, null, null, null])
    expect(await run([], rows)).toEqual([])
  })

  it('fails loudly when lookups are not in order', async () => {
    await expect(run([lookup('b', 1), lookup('a', 1)], [])).rejects.toMatchObject({ code: 'ORDER_VIOLATED' })
    await expect(run([lookup('a', 2), lookup('a', 1)], [])).rejects.toMatchObject({ code: 'ORDER_VIOLATED' })
  })
})

describe('result buckets', () => {
  const vector = compileView({
    spec: {
      ...viewSpec('wide', [], { kind: 'continuous' }),
      source: {
        ...viewSpec('wide', [], { kind: 'continuous' }).source,
        columns: [{ name: 'v', type: { kind: 'vector', length: 20_000 } }],
      },
      features: [
        {
          kind: 'latest',
          name: 'v',
          column: 'v',
          type: { kind: 'vector', length: 20_000 },
          ttlMicros: null,
          default: null,
          required: false,
        },
      ],
    },
    code: null,
    fingerprint: 'wide',
  })
  const plan = view('narrow', 'things')

  it('return rows by ordinal and mapping, from any order, across buckets and flushes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.nat(300_000), { maxLength: 200, size: 'max' }), fc.nat(30), async (ordinals, every) => {
        const buckets = await createResultBuckets([[plan], [plan, plan]])
        try {
          const answer = (n: number): ViewValues => ({
            values: [n % 3 === 0 ? null : n],
            statuses: [n % 3 === 0 ? Status.notFound : Status.present],
            eventTime: n % 3 === 0 ? null : -n,
          })
          const unknown = [null, Status.notFound]
          for (const [i, n] of ordinals.entries()) {
            buckets.put(n, 0, [answer(n)])
            if (n % 2 === 0) buckets.put(n, 1, [answer(n), answer(n + 1)])
            if (i % (every + 1) === 0) await buckets.flush()
          }
          await buckets.flush()
          for (const n of ordinals) {
            const bucket = await buckets.read(Math.floor(n / buckets.rowsPerBucket))
            const at = (columns: AnswerColumns | undefined) => [
              columns?.value(0, n % buckets.rowsPerBucket),
              columns?.status(0, n % buckets.rowsPerBucket),
            ]
            const told = (m: number) => [answer(m).values[0], answer(m).statuses[0]]
            expect(bucket.map((answers) => answers.map(at))).toEqual([[told(n)], n % 2 === 0 ? [told(n), told(n + 1)] : [unknown, unknown]])
          }
        } finally {
          await buckets.close()
        }
      }),
      { numRuns: 10 },
    )
  })

  it('are smaller if lists and counts can be long', async () => {
    const window = { kind: 'window', column: 's', windowMicros: hour, hopMicros: hour, default: null, required: false } as const
    const features: FeatureSpec[] = [
      { ...window, name: 'top', type: { kind: 'list', of: { kind: 'string' }, nulls: false }, aggregate: 'topK', n: 100, cap: 1_000 },
      { ...window, name: 'counts', type: { kind: 'counts' }, aggregate: 'histogram', cap: 100 },
    ]
    const many = compileView({ spec: viewSpec('many', features, { kind: 'continuous' }), code: null, fingerprint: 'many' })
    const buckets = await createResultBuckets([[many]])
    const value: ViewValues = { values: [['a', ''], new Map([['b', 2]])], statuses: [Status.present, Status.present], eventTime: 5 }
    buckets.put(1, 0, [value])
    await buckets.flush()
    const [answers] = (await buckets.read(0))[0] ?? []
    expect([0, 1].map((i) => [answers?.value(i, 0), answers?.value(i, 1)])).toEqual(value.values.map((v) => [null, v]))
    expect(buckets.rowsPerBucket).toBeLessThan(5_000)
    await buckets.close()
  })

  it('are smaller if rows are wide, ask for a flush, and leave no file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lockstep-buckets-'))
    const buckets = await createResultBuckets([[vector]], folder)
    expect(buckets.rowsPerBucket).toBe(1_024)
    const value: ViewValues = { values: [new Float32Array(20_000).fill(0.5)], statuses: [Status.present], eventTime: 5 }
    let asked = 0
    for (let i = 0; i < 1_000; i++) {
      if (!buckets.put(i, 0, [value])) continue
      asked++
      await buckets.flush()
    }
    expect(asked).toBeGreaterThan(4)
    await buckets.flush()
    expect((await buckets.read(0))[0]?.[0]?.value(0, 999)).toEqual(value.values[0])
    expect(await readdir(folder)).toEqual([])
    await buckets.close()
    await rmdir(folder)
    await expect(createResultBuckets([[plan]], '/nowhere')).rejects.toMatchObject({ code: 'WRITE_FAILED' })
  })
})
