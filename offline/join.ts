import { LockstepError } from '../kernel/errors.ts'
import type { ServicePlan, ViewUse } from '../kernel/service-plan.ts'
import type { Status } from '../kernel/states/state.ts'
import type { Value } from '../kernel/values/value-type.ts'
import type { TimeRule, ViewPlan } from '../kernel/view-plan.ts'
import { servedTime } from '../kernel/view-plan.ts'
import type { Database, Snapshot, TupleBatch } from '../runtime/postgres/database.ts'
import { waitForWriters } from '../runtime/postgres/wait-for-writers.ts'
import type { MergeOptions, Lookup } from './lookup.ts'
import { merge } from './merge.ts'
import { createLookupDecoder } from './rows/lookup-decoder.ts'
import type { JoinedBatch } from './datasets/assemble.ts'
import { assemble, noneMissing } from './datasets/assemble.ts'
import type { AnswerColumns } from './answers.ts'
import type { ResultBuckets, ResultReader } from './result-buckets.ts'
import { createResultBuckets } from './result-buckets.ts'
import type { LeftOut, SourceStreamOptions } from './rows/source-stream.ts'
import { countLeftOut, dropColumns, sourceRows } from './rows/source-stream.ts'
import type { KeyRange } from './rows/stream-sql.ts'
import { keyEndsSelect, keysSelect, lookupsSelect } from './spine/spine-sql.ts'
import type { ReadFiles } from './source-files/stored-files.ts'
import { filesRead } from './source-files/stored-files.ts'
import type { SpineBatch } from './spine/spine-rows.ts'
import { spineRows } from './spine/spine-rows.ts'
import type { Spine } from './spine/spine.ts'
import type { Pass } from './rows/stream-groups.ts'
import { planPasses } from './rows/stream-groups.ts'
import type { Seen } from './rows/stream-bounds.ts'
import { awaitWritersMs, settledBefore, sourceBounds } from './rows/stream-bounds.ts'

export interface JoinOptions {
  /** Absent: what was known when, and schedules as served. */
  readonly rule?: TimeRule
  /**
   * `at` (the default): a row counts that becomes visible at the spine row's own moment; `before`: only an earlier one.
   */
  readonly bound?: 'at' | 'before'
  /**
   * Epoch microseconds: source rows that were known (or, without a known time, happened) at it or later are not read,
   * whatever the rule. Absent: all are.
   */
  readonly knownBefore?: number | null
  /**
   * The `xmin` of an earlier join: from tables with arrival columns, no rows are read that arrived since. Absent: all
   * settled rows are read.
   */
  readonly arrivedBefore?: number | null
  /**
   * One of many joins over the same rows: `arrivedBefore` is known to be settled. So no writer is waited for, and
   * left-out rows are not counted in each.
   */
  readonly oneOfMany?: boolean
  /** Whether the keys of the spine are a small range of all keys. Then an index finds the rows of the sources. */
  readonly keysAreRange?: boolean
  /** Whether batches have `statuses`: they take time, and a training set has none. Default: false. */
  readonly statuses?: boolean
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: JoinProgress) => void
}

export interface JoinProgress {
  /** `join`: lookups done; `write`: rows passed to `consume`. */
  readonly step: 'join' | 'write'
  readonly done: number
  readonly total: number
}

export interface JoinSummary {
  readonly rows: number
  /**
   * `pg_snapshot_xmin` of the data that was read, or `arrivedBefore`. From tables with arrival columns (`_xid`), the
   * rows of all transactions below it were read; all of these are settled.
   */
  readonly xmin: number
  /**
   * Source rows with a NULL in their key, by source. For a source that a short spine reads through an index it is 0,
   * because no such rows are searched.
   */
  readonly droppedRows: Readonly<Record<string, number>>
  /**
   * Committed rows that were not read, because an older transaction was still open, by source. A source without arrival
   * columns is not in it: all of its rows were read, and reading it again may give others.
   */
  readonly heldBackRows: Readonly<Record<string, number>>
  /** The Parquet files behind the rows that were read. None for one of many joins. */
  readonly files: readonly ReadFiles[]
}

/**
 * The point-in-time join: each row of the spine, in its order, with the service's features as they were at its moment.
 * Each source table is read once, for any number of views and aliases. Memory does not grow with the spine. The join
 * waits up to 2 s for transactions that are writing when it begins. If one takes longer, rows that were committed after
 * it began are left out.
 *
 * @param consume takes the batches in order; the next batch is made when it has resolved
 * @throws LockstepError `ORDER_VIOLATED`, `INVALID_ROW`, `INVALID_TIME`, `TRANSFORM_FAILED`, `TOO_MANY_CATEGORIES`,
 *   `SOURCE_MISSING`, `WRITE_FAILED`
 */
export async function joinSpine(
  db: Database,
  service: ServicePlan,
  spine: Spine,
  options: JoinOptions,
  consume: (batch: JoinedBatch) => Promise<void> | void,
): Promise<JoinSummary> {
  if (options.oneOfMany !== true) await waitForWriters(db, awaitWritersMs, options.signal)
  return await db.snapshot(async (snapshot) => {
    const passes = planPasses(service.uses)
    const places = passes.flatMap((pass) => pass.mappings.map((mapping) => mapping.asked.map(({ use }) => use)))
    const arrivedBefore = settledBefore(snapshot, options.arrivedBefore ?? null)
    const seen = { rule: options.rule ?? servedTime, knownBefore: options.knownBefore ?? null, arrivedBefore }
    const buckets = await createResultBuckets(places.map((uses) => uses.map((use) => (service.uses[use] as ViewUse).plan)))
    const inOrder = startEagerly(spineRows(snapshot, spine))
    try {
      const files = options.oneOfMany === true ? [] : await filesRead(snapshot, service, arrivedBefore)
      const omitted = await answerAll(snapshot, spine, passes, buckets, seen, options)
      const rows = await assembleInOrder({ inOrder, service, spine, places, results: buckets }, options, consume)
      if (rows !== spine.rows)
        throw new LockstepError('INTERNAL', `The spine has ${spine.rows} rows, but the join returned ${rows}. Report this as a bug.`)
      return { rows, xmin: arrivedBefore, ...omitted, files }
    } finally {
      await buckets.close()
    }
  })
}

/** Up to this number, lookups are read before the sources, to find which source rows they need. */
const fewLookups = 5_000

/** First half: the values of every lookup, in the order of keys, go into the buckets. */
async function answerAll(
  snapshot: Snapshot,
  spine: Spine,
  passes: readonly Pass[],
  buckets: ResultBuckets,
  seen: Seen,
  options: JoinOptions,
): Promise<Pick<JoinSummary, 'droppedRows' | 'heldBackRows'>> {
  const merging: MergeOptions = { rule: seen.rule, bound: options.bound ?? 'at' }
  const total = spine.rows * passes.reduce((sum, pass) => sum + pass.mappings.length, 0)
  let done = 0
  let place = 0
  const counts: Promise<SourceLeftOut>[] = []
  const dropped = dropColumns(passes.flatMap((pass) => pass.streams.flatMap(({ plans }) => plans)))
  const startCount = async (plans: readonly ViewPlan[], bounds: SourceStreamOptions): Promise<SourceLeftOut> => {
    const [plan] = plans as [ViewPlan]
    return { source: plan.spec.source.name, ...(await countLeftOut(snapshot, plan, seen.arrivedBefore, bounds, dropped(plan))) }
  }
  for (const pass of passes) {
    const first = place
    let full = false
    const asked = snapshot.tuples(lookupsSelect(spine, pass.key, pass.mappings))
    const decoded = decodeLookups(asked, createLookupDecoder(pass.key))
    const few = spine.rows * pass.mappings.length <= fewLookups ? await collect(decoded) : null
    async function* lookups(): AsyncGenerator<readonly Lookup[]> {
      for await (const batch of few ?? decoded) {
        options.signal?.throwIfAborted()
        yield batch
        if (full) {
          full = false
          await buckets.flush()
        }
        done += batch.length
        options.onProgress?.({ step: 'join', done, total })
      }
    }
    const streams = []
    const keyRange = options.keysAreRange === true ? await keyRangeOf(snapshot, spine, pass) : null
    for (const [stream, { plans }] of pass.streams.entries()) {
      const ofStream = few?.flat().filter(({ mapping }) => pass.mappings[mapping]?.asked.some((view) => view.stream === stream))
      const near = ofStream === undefined ? null : { lookups: ofStream, bound: merging.bound }
      const bounds = await sourceBounds(snapshot, plans, spine, keysSelect(spine, pass.key, pass.mappings), seen, near)
      streams.push(sourceRows(snapshot, plans, keyRange === null || bounds.near !== undefined ? bounds : { ...bounds, keyRange }))
      if (options.oneOfMany === true) continue
      const count = startCount(plans, bounds)
      count.catch(() => undefined) // reported at the end, unless the join itself fails
      counts.push(count)
    }
    await merge(pass, lookups(), streams, merging, (lookup, values) => {
      if (buckets.put(lookup.ordinal, first + lookup.mapping, values)) full = true
    })
    place += pass.mappings.length
  }
  await buckets.flush()
  return sumLeftOut(await Promise.all(counts))
}

/** The range of the keys under which a pass looks up rows; null: they have several mappings, or none. */
async function keyRangeOf(snapshot: Snapshot, spine: Spine, { key, mappings }: Pass): Promise<KeyRange | null> {
  const [mapping] = mappings
  if (mapping === undefined || mappings.length > 1 || key.length === 0) return null
  const [ends] = await snapshot.query<{ first: string[] | null; last: string[] | null }>(keyEndsSelect(spine, key, mapping))
  return ends === undefined || ends.first === null || ends.last === null ? null : { from: ends.first, to: null, last: ends.last }
}

async function collect(batches: AsyncIterable<readonly Lookup[]>): Promise<readonly Lookup[][]> {
  const all: Lookup[][] = []
  for await (const batch of batches) all.push([...batch])
  return all
}

async function* decodeLookups(
  batches: AsyncIterable<TupleBatch>,
  decode: (batch: TupleBatch) => readonly Lookup[],
): AsyncGenerator<readonly Lookup[]> {
  for await (const batch of batches) yield decode(batch)
}

/** The two sides of the second half of a join. */
export interface AnsweredSpine {
  /** The spine's columns, in its order. */
  readonly inOrder: AsyncIterable<SpineBatch>
  readonly service: ServicePlan
  readonly spine: Spine
  /** By mapping of all passes: the uses of the service that it asks. */
  readonly places: readonly (readonly number[])[]
  /** The values of the first half. */
  readonly results: ResultReader
}

/**
 * Second half: the spine's columns and the values are joined in the order of the spine.
 *
 * @returns how many rows there were
 */
export async function assembleInOrder(
  { inOrder, service, spine, places, results }: AnsweredSpine,
  options: JoinOptions,
  consume: (batch: JoinedBatch) => Promise<void> | void,
): Promise<number> {
  const placeOf = service.uses.map((_, use) => {
    const place = places.findIndex((uses) => uses.includes(use))
    return { place, index: places[place]?.indexOf(use) ?? -1 }
  })
  const columnsOf = (columns: readonly { readonly name: string }[]) =>
    columns.map(({ name }) => spine.columns.findIndex((column) => column.name === name))
  const [request, keys] = [columnsOf(service.request), columnsOf(service.keys)]
  let bucket = -1
  let answers: readonly AnswerColumns[] = []
  let rows = 0
  for await (const batch of inOrder) {
    options.signal?.throwIfAborted()
    const { length, columns, times } = batch
    const joined = {
      length,
      spine: columns,
      times,
      values: service.features.map(() => new Array<Value | null>(length)),
      statuses: options.statuses === true ? service.features.map(() => new Array<Status>(length)) : [],
      missing: new Array<readonly string[]>(length).fill(noneMissing),
    }
    for (let from = 0; from < length;) {
      const needed = Math.floor((rows + from) / results.rowsPerBucket)
      if (needed !== bucket) {
        bucket = needed
        const read = await results.read(bucket)
        answers = placeOf.map(({ place, index }) => read[place]?.[index] as AnswerColumns)
      }
      const first = bucket * results.rowsPerBucket - rows
      const to = Math.min(length, first + results.rowsPerBucket)
      assemble({ service, request, keys, answers, joined, from, to, first })
      from = to
    }
    rows += length
    await consume(joined)
    options.onProgress?.({ step: 'write', done: rows, total: spine.rows })
  }
  return rows
}

interface SourceLeftOut extends LeftOut {
  readonly source: string
}

export function sumLeftOut(counts: readonly SourceLeftOut[]): Pick<JoinSummary, 'droppedRows' | 'heldBackRows'> {
  const droppedRows: Record<string, number> = {}
  const heldBackRows: Record<string, number> = {}
  for (const { source, dropped, heldBack } of counts) {
    droppedRows[source] = (droppedRows[source] ?? 0) + dropped
    if (heldBack !== null) heldBackRows[source] = heldBack
  }
  return { droppedRows, heldBackRows }
}

/**
 * The same iterable, but its first element is requested at once, not by the first reader: so the database begins to
 * sort. It can be read once. If it is never read, an error of its first element is ignored.
 */
function startEagerly<T>(iterable: AsyncIterable<T>): AsyncIterable<T> {
  const rest = iterable[Symbol.asyncIterator]()
  const first = rest.next()
  first.catch(() => undefined)
  return {
    async *[Symbol.asyncIterator]() {
      try {
        for (let next = await first; next.done !== true; next = await rest.next()) yield next.value
      } finally {
        await rest.return?.()
      }
    },
  }
}
