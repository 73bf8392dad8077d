import type { EntityKey } from '../kernel/values/entity-key.ts'
import { LockstepError } from '../kernel/errors.ts'
import type { ViewValues } from '../kernel/states/state.ts'
import { ofEntity } from '../kernel/states/too-many-categories.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import { Lane } from './lane.ts'
import type { Lookup, MergeOptions } from './lookup.ts'
import type { SourceRow } from './rows/row-decoder.ts'
import { projection, streamColumns } from './rows/source-stream.ts'
import type { Pass } from './rows/stream-groups.ts'

/**
 * The sort-merge behind training sets. Ordered lookups and ordered source rows are read once, side by side. A row is
 * added to the states of its views as soon as it is visible to them, and a lookup takes the values of the states at
 * that point.
 *
 *     lookups     (a, 3) (a, 9) (c, 4)                       a: add rows up to 3, look up, add rows up to 9, look up
 *     source      (a, 1) (a, 5) (b, 2) (c, 7)                b: skipped;  c: looked up empty, because 7 is later
 *
 * @param streams by index of `pass.streams`
 * @param answer takes the values by index of the mapping's `asked`; the next lookup overwrites them
 */
export async function merge(
  pass: Pass,
  lookups: AsyncIterable<readonly Lookup[]>,
  streams: readonly AsyncIterable<readonly SourceRow[]>[],
  options: MergeOptions,
  answer: (lookup: Lookup, values: readonly ViewValues[]) => void,
): Promise<void> {
  const tracks = pass.streams.map(({ plans }, i) => new Track(plans, streams[i] as AsyncIterable<readonly SourceRow[]>, options))
  const asked = pass.mappings.map((mapping) => ({
    tracks: [...new Set(mapping.asked.map((a) => tracks[a.stream] as Track))],
    lanes: mapping.asked.map((a) => tracks[a.stream]?.lanes[a.plan] as Lane),
    values: new Array<ViewValues>(mapping.asked.length),
  }))
  let key: EntityKey | null = null
  let time = Number.NEGATIVE_INFINITY
  try {
    for await (const batch of lookups) {
      for (const lookup of batch) {
        if (lookup.key !== key) {
          if (key !== null && lookup.key < key) throw unordered()
          key = lookup.key
          for (const track of tracks) track.begin(key)
        } else if (lookup.time < time) {
          throw unordered()
        }
        time = lookup.time
        const mapping = asked[lookup.mapping] as (typeof asked)[number]
        for (const track of mapping.tracks) while (!track.advance(time)) await track.fetch()
        for (let i = 0; i < mapping.lanes.length; i++) mapping.values[i] = (mapping.lanes[i] as Lane).valueAt(time)
        answer(lookup, mapping.values)
      }
    }
  } catch (error) {
    throw ofEntity(pass.key, key ?? '', error)
  } finally {
    for (const track of tracks) track.close()
  }
}

/** One source stream during the merge. */
class Track {
  readonly lanes: readonly Lane[]
  readonly #rows: AsyncIterator<readonly SourceRow[]>
  /** The batch after `#batch`. It is requested at once, so that the database sorts all streams at the same time. */
  #ahead: Promise<IteratorResult<readonly SourceRow[]>>
  #batch: readonly SourceRow[] = []
  #at = 0
  #ended = false
  #key: EntityKey = ''
  /** The key that was last compared with `#key`, and whether it is less (-1), equal (0) or greater (1). */
  #compared: EntityKey | null = null
  #side: -1 | 0 | 1 = -1

  constructor(plans: readonly ViewPlan[], rows: AsyncIterable<readonly SourceRow[]>, options: MergeOptions) {
    const columns = streamColumns(plans)
    this.lanes = plans.map((plan) => new Lane(plan, projection(columns, plan), options))
    this.#rows = rows[Symbol.asyncIterator]()
    this.#ahead = this.#ask()
  }

  begin(key: EntityKey): void {
    this.#key = key
    this.#compared = null
    for (const lane of this.lanes) lane.begin()
  }

  /** Adds the key's rows up to the moment. False: the next batch must be fetched first. */
  advance(time: number): boolean {
    const batch = this.#batch
    while (this.#at < batch.length) {
      const row = batch[this.#at] as SourceRow
      if (row.key !== this.#compared) {
        this.#compared = row.key
        this.#side = row.key === this.#key ? 0 : row.key < this.#key ? -1 : 1
      }
      if (this.#side > 0) return true
      if (this.#side === 0) {
        if (row.sortTime > time) return true
        for (const lane of this.lanes) lane.take(row.key, row.eventTime, row.knownTime, row.tie, row.values, time)
      }
      this.#at++
    }
    return this.#ended
  }

  async fetch(): Promise<void> {
    const next = await this.#ahead
    this.#at = 0
    this.#batch = next.done === true ? [] : next.value
    this.#ended = next.done === true
    if (!this.#ended) this.#ahead = this.#ask()
    const last = this.#batch.at(-1)
    if (last !== undefined && last.key < this.#key) this.#at = this.#batch.length
  }

  /** Does not wait for the batch that was requested: that may take long, and the stream ends it itself. */
  close(): void {
    this.#rows.return?.().catch(() => undefined)
  }

  #ask(): Promise<IteratorResult<readonly SourceRow[]>> {
    const next = this.#rows.next()
    next.catch(() => undefined) // reported where it is awaited
    return next
  }
}

function unordered(): LockstepError {
  return new LockstepError(
    'ORDER_VIOLATED',
    'The rows of the spine are not in the order of key and time. This is a bug of the database or of Lockstep.',
  )
}
