import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { allBelow, oneTransaction, without } from '../../kernel/states/frontier.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { fewRanges, foldStream } from '../../materializer/fold-stream.ts'
import { createStateWriter } from '../../materializer/state-writer.ts'
import type { SourceRow } from '../../offline/rows/row-decoder.ts'
import { openEmbeddedStore } from '../../online/embedded-store.ts'
import type { OnlineStore } from '../../online/store.ts'
import { budget } from '../budget.ts'
import { accountKey, asRow, foldAll, minute, payment, start, storedStates } from './payments.ts'
import { paymentsPlan } from './plans.ts'

const moment = start + 400 * minute

describe('folding an ordered stream into stored states', () => {
  let directory: string
  let store: OnlineStore
  let views = 0
  const freshPlan = (options: { code?: string; scheduled?: boolean } = {}): ViewPlan =>
    paymentsPlan({
      name: `payments${views++}`,
      relation: { kind: 'table', table: 'payments' },
      ...(options.code === undefined ? {} : { code: options.code }),
      ...(options.scheduled === true ? { availability: { kind: 'schedule', schedule: '*/30 * * * *', delayMicros: minute } } : {}),
    })
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'lockstep-fold-'))
    store = openEmbeddedStore(directory)
  })
  afterAll(async () => {
    await store?.close()
    await rm(directory, { recursive: true })
  })

  it('gives the bytes of one fold, for any split into runs and batches', async () => {
    const run = fc.record({
      upTo: fc.integer({ min: 0, max: 100 }),
      again: fc.integer({ min: 0, max: 60 }),
      batch: fc.integer({ min: 1, max: 9 }),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(payment, { maxLength: 60 }),
        fc.array(run, { maxLength: 6 }),
        fc.boolean(),
        async (payments, runs, scheduled) => {
          const plan = freshPlan({ scheduled })
          const rows = payments.map((each, i) => asRow(plan, each, i, i))
          let covered = 0
          for (const { upTo, again, batch } of [...runs, { upTo: payments.length, again: 0, batch: 7 }]) {
            const to = Math.max(covered, Math.min(upTo, payments.length))
            // Reading again what is covered already must not count it again.
            await foldArrivals(store, plan, rows, Math.max(0, covered - again), to, batch)
            covered = to
          }
          expect(await statesOf(store, plan, rows)).toEqual(foldAll(plan, rows, moment))
        },
      ),
      { numRuns: budget(150) },
    )
  })

  it('writes nothing when there is nothing new', async () => {
    const plan = freshPlan()
    const rows = fc.sample(payment, 40).map((each, i) => asRow(plan, each, i, i))
    expect((await fold(store, plan, rows, 40)).entities).toBe(new Set(rows.map((row) => row.key)).size)
    expect(await fold(store, plan, rows, 40)).toMatchObject({ rows: 0, entities: 0 })
    expect(await fold(store, plan, rows, 50)).toMatchObject({ rows: 0, entities: 0 })
    expect(await fold(store, plan, arrived(rows, 0, 20), 20)).toMatchObject({ rows: 0, entities: 0 })
  })

  it('stores nothing for an entity whose rows are all dropped or invisible', async () => {
    const plan = freshPlan({ code: '(row) => row.label === "drop" ? null : {}' })
    const at = { paidAt: start, knownAt: null, amount: 1, label: 'drop' }
    const never = { ...at, label: null, knownAt: Number.POSITIVE_INFINITY }
    const rows = [
      asRow(plan, { ...at, account: 'dropped' }, 0, 0),
      asRow(plan, { ...never, account: 'never' }, 1, 1),
      asRow(plan, { ...at, label: null, account: 'kept' }, 2, 2),
    ]
    expect(await fold(store, plan, rows, 3)).toMatchObject({ rows: 1, entities: 1 })
    expect([...(await statesOf(store, plan, rows)).keys()]).toEqual(['kept\0'])
  })

  it('returns keys that another writer changed, and leaves their states unchanged', async () => {
    const plan = freshPlan()
    const rows = fc.sample(payment, 60).map((each, i) => asRow(plan, each, i, i))
    const other = createStateWriter(store, plan)
    async function* overtaken(): AsyncGenerator<SourceRow[]> {
      yield ordered(rows)
      // The other run sees more and finishes while this one still holds its first batch.
      await fold(store, plan, rows, 60)
    }
    await foldStream({ ...targetIn(store, plan), writer: other, rows: allBelow(50) }, overtaken())
    const refused = await other.drain()
    // The last entity is still open when the other finishes, so all of them are refused.
    expect(new Set(refused)).toEqual(new Set(rows.map((row) => row.key)))
    expect(await storedStates(store, plan, refused)).toEqual(foldAll(plan, rows, moment))
  })

  it('rebuilds states from a complete stream, over older ones but not newer ones', async () => {
    const plan = freshPlan()
    const rows = fc.sample(payment, 40).map((each, i) => asRow(plan, each, i, -1))
    await fold(store, plan, rows.slice(0, 20), 10, 5, 'renew')
    await fold(store, plan, rows, 20, 5, 'renew')
    await fold(store, plan, rows.slice(0, 20), 15, 5, 'renew')
    expect(await statesOf(store, plan, rows)).toEqual(foldAll(plan, rows, moment))
    expect(await fold(store, plan, rows, 20, 5, 'renew')).toMatchObject({ rows: 0, entities: 0 })
  })

  it('refuses an entity missing in the store if the stream starts after its first row', async () => {
    const plan = freshPlan({ code: '(row) => row.label === "drop" ? null : {}' })
    const at = { paidAt: start, knownAt: null, amount: 1, label: null }
    const rows = ['known', 'lacking', 'dropped'].flatMap((account, i) =>
      [0, 1].map((j) => asRow(plan, { ...at, account, label: account === 'dropped' ? 'drop' : null }, i * 2 + j, j * 10)),
    )
    await fold(store, plan, arrived(rows, 0, 10).slice(0, 1), 10)
    const writer = createStateWriter(store, plan)
    await foldStream({ ...targetIn(store, plan), writer, rows: without(allBelow(20), allBelow(10)) }, batches(arrived(rows, 10, 20), 2))
    expect(await writer.drain()).toEqual([accountKey(plan, 'lacking')])
    expect(writer.stored).toMatchObject({ rows: 1, entities: 1 })
  })

  it('keeps a bounded part of large stored states in memory', async () => {
    const plan = freshPlan()
    const label = 'x'.repeat(100_000)
    const payments = Array.from({ length: 200 }, (_, i) => ({ account: `large ${i}`, paidAt: start, knownAt: null, amount: 1, label }))
    const rows = payments.map((each, i) => asRow(plan, each, i, 0))
    const later = payments.map((each, i) => asRow(plan, { ...each, paidAt: start + minute, label: 'y' }, 200 + i, 1))
    await fold(store, plan, rows, 1)
    const sizes: number[] = []
    const read = async (keys: readonly EntityKey[]): Promise<(Buffer | null)[]> => {
      const stored = await reader(store, plan)(keys)
      sizes.push(stored.reduce((sum, bytes) => sum + (bytes?.length ?? 0), 0))
      return stored
    }
    const writer = createStateWriter(store, plan)
    await foldStream({ ...targetIn(store, plan), read, writer, rows: oneTransaction(1) }, batches(later, 1_000))
    expect([await writer.drain(), writer.stored.entities]).toEqual([[], 200])
    expect(sizes.reduce((sum, size) => sum + size)).toBeGreaterThan(20_000_000)
    expect(Math.max(...sizes)).toBeLessThan(8_000_000)
  })

  it('passes on a failed write, with no other work pending', async () => {
    const plan = freshPlan()
    const rows = fc.sample(payment, 20).map((each, i) => asRow(plan, each, i, i))
    const closed = openEmbeddedStore(await mkdtemp(join(directory, 'closed-')))
    const writer = createStateWriter(closed, plan)
    await foldStream({ ...targetIn(store, plan), read: reader(closed, plan), writer, rows: allBelow(20) }, batches(rows, 100))
    await closed.close()
    await expect(writer.drain()).rejects.toMatchObject({ code: 'WRITE_FAILED' })
    expect(writer.stored).toMatchObject({ rows: 0, entities: 0 })
  })
})

async function fold(
  store: OnlineStore,
  plan: ViewPlan,
  rows: readonly SourceRow[],
  to: number,
  batch = 7,
  how: 'resume' | 'renew' = 'resume',
) {
  const writer = createStateWriter(store, plan)
  await foldStream({ ...targetIn(store, plan), writer, rows: allBelow(to), start: how }, batches(rows, batch))
  expect(await writer.drain()).toEqual([])
  return writer.stored
}

/** Folds the rows of [from, to), and all rows below `to` of the entities that are refused. */
async function foldArrivals(store: OnlineStore, plan: ViewPlan, rows: readonly SourceRow[], from: number, to: number, batch: number) {
  const writer = createStateWriter(store, plan)
  await foldStream(
    { ...targetIn(store, plan), writer, rows: without(allBelow(to), allBelow(from)) },
    batches(arrived(rows, from, to), batch),
  )
  const refused = new Set(await writer.drain())
  const again = arrived(rows, 0, to).filter(({ key }) => refused.has(key))
  if (from === 0) expect(refused.size).toBe(0)
  await fold(store, plan, again, to, batch)
}

function targetIn(store: OnlineStore, plan: ViewPlan) {
  return { plan, read: reader(store, plan), maxRanges: fewRanges, moment, start: 'resume' } as const
}

function reader(store: OnlineStore, plan: ViewPlan) {
  return (keys: readonly EntityKey[]) => store.read(keys.map((key) => ({ view: plan.id, entity: plan.spec.entity.name, key })))
}

function arrived(rows: readonly SourceRow[], from: number, to: number): SourceRow[] {
  return rows.filter((row) => row.xid >= from && row.xid < to)
}

async function* batches(rows: readonly SourceRow[], size: number): AsyncGenerator<SourceRow[]> {
  const sorted = ordered(rows)
  for (let i = 0; i < sorted.length; i += size) yield sorted.slice(i, i + size)
}

function ordered(rows: readonly SourceRow[]): SourceRow[] {
  return [...rows].sort((a, b) => (a.key === b.key ? a.sortTime - b.sortTime : a.key < b.key ? -1 : 1))
}

/** The stored states of the entities of these rows. */
function statesOf(store: OnlineStore, plan: ViewPlan, rows: readonly SourceRow[]): Promise<Map<EntityKey, string>> {
  return storedStates(
    store,
    plan,
    rows.map(({ key }) => key),
  )
}
