import type { EntityKey } from '../kernel/entity-key.ts'
import { LockstepError } from '../kernel/errors.ts'
import { namingKey } from '../kernel/show-key.ts'
import type { EntityState, FoldRow, ViewValues } from '../kernel/state.ts'
import { ofEntity } from '../kernel/too-many-categories.ts'
import type { TimeRule, ViewPlan } from '../kernel/view-plan.ts'
import type { SourceRow } from './row-decoder.ts'
import { projection, streamColumns } from './source-stream.ts'
import type { Pass } from './stream-groups.ts'

/**
 * What is asked: the values of the views under one mapping, for one entity at one moment. Questions come ordered by
 * (key, time).
 */
export interface Question {
  readonly key: EntityKey
  /** Epoch microseconds. */
  readonly time: number
  /** The caller's own number for it. */
  readonly ordinal: number
  /** By index of `pass.mappings`. */
  readonly mapping: number
}

export interface MergeOptions {
  readonly rule: TimeRule
  /** `at`: what is visible at the moment itself counts; `before`: only what was visible earlier. */
  readonly bound: 'at' | 'before'
}

/**
 * The sort-merge at the heart of training sets: ordered questions and ordered source rows pass each other once. For
 * each entity, a row goes into the states of its views as soon as it is visible to them, and a question asks the states
 * as they then are.
 *
 *     questions   (a, 3) (a, 9) (c, 4)                       a: add rows up to 3, ask, add rows up to 9, ask
 *     source      (a, 1) (a, 5) (b, 2) (c, 7)                b: passed over;  c: asked empty, as 7 is later
 *
 * @param streams by index of `pass.streams`
 * @param answer takes the values by index of the mapping's `asked`; they are written over by those of the next question
 */
export async function merge(
  pass: Pass,
  questions: AsyncIterable<readonly Question[]>,
  streams: readonly AsyncIterable<readonly SourceRow[]>[],
  options: MergeOptions,
  answer: (question: Question, values: readonly ViewValues[]) => void,
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
    for await (const batch of questions) {
      for (const question of batch) {
        if (question.key !== key) {
          if (key !== null && question.key < key) throw unordered()
          key = question.key
          for (const track of tracks) track.begin(key)
        } else if (question.time < time) {
          throw unordered()
        }
        time = question.time
        const mapping = asked[question.mapping] as (typeof asked)[number]
        for (const track of mapping.tracks) while (!track.advance(time)) await track.fetch()
        for (let i = 0; i < mapping.lanes.length; i++) mapping.values[i] = (mapping.lanes[i] as Lane).valueAt(time)
        answer(question, mapping.values)
      }
    }
  } catch (error) {
    throw ofEntity(pass.key, key ?? '', error)
  } finally {
    for (const track of tracks) track.close()
  }
}

/** One source stream on its way through the merge. */
class Track {
  readonly lanes: readonly Lane[]
  readonly #rows: AsyncIterator<readonly SourceRow[]>
  /** The batch after `#batch`: asked for at once, so that the database sorts all streams at the same time. */
  #ahead: Promise<IteratorResult<readonly SourceRow[]>>
  #batch: readonly SourceRow[] = []
  #at = 0
  #ended = false
  #key: EntityKey = ''
  /** The key string that was last compared with `#key`, and whether it came before (-1), with (0) or after (1) it. */
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

  /** Takes the key's rows up to the moment; false where the next batch has to be fetched first. */
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
        for (const lane of this.lanes) lane.take(row, time)
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

  /** Does not wait: a batch that was asked for may be long in coming, and its end is its stream's business. */
  close(): void {
    this.#rows.return?.().catch(() => undefined)
  }

  #ask(): Promise<IteratorResult<readonly SourceRow[]>> {
    const next = this.#rows.next()
    next.catch(() => undefined) // told where it is awaited
    return next
  }
}

/** One view of a stream, for the entity at hand. */
class Lane {
  readonly #plan: ViewPlan
  readonly #project: (values: SourceRow['values']) => SourceRow['values']
  readonly #rule: TimeRule
  readonly #strict: boolean
  readonly #empty: EntityState
  #state: EntityState | null = null
  #answer: ViewValues | undefined = undefined
  /** Rows that the view does not see yet (its schedule runs later), in the order in which it will. */
  #waiting: FoldRow[] = []
  #next = 0

  constructor(plan: ViewPlan, project: (values: SourceRow['values']) => SourceRow['values'], options: MergeOptions) {
    this.#plan = plan
    this.#project = project
    this.#rule = options.rule
    this.#strict = options.bound === 'before'
    this.#empty = plan.newState()
  }

  begin(): void {
    this.#state = null
    if (this.#waiting.length > 0) {
      this.#waiting = []
      this.#next = 0
    }
  }

  take(row: SourceRow, time: number): void {
    const folded = this.#fold(row)
    if (folded === null) return
    if (this.#sees(folded, time)) this.#add(folded, time)
    else this.#waiting.push(folded)
  }

  #fold({ key, eventTime, knownTime, tie, values }: SourceRow): FoldRow | null {
    try {
      return this.#plan.fold(eventTime, knownTime, tie, this.#project(values), this.#rule)
    } catch (error) {
      throw namingKey(this.#plan.key, key, error)
    }
  }

  valueAt(time: number): ViewValues {
    if (this.#next < this.#waiting.length) this.#admit(time)
    this.#answer = (this.#state ?? this.#empty).valueAt(time, this.#answer)
    return this.#answer
  }

  #admit(time: number): void {
    while (this.#next < this.#waiting.length) {
      const row = this.#waiting[this.#next] as FoldRow
      if (!this.#sees(row, time)) break
      this.#add(row, time)
      this.#next++
    }
    if (this.#next > 1_000 && this.#next * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#next)
      this.#next = 0
    }
  }

  #sees(row: FoldRow, time: number): boolean {
    return this.#strict ? row.visibleAt < time : row.visibleAt <= time
  }

  #add(row: FoldRow, time: number): void {
    this.#state ??= this.#plan.newState()
    this.#state.add(row, time)
  }
}

function unordered(): LockstepError {
  return new LockstepError(
    'ORDER_VIOLATED',
    'The rows of the spine did not come in the order of key and time; this is a defect of the database or of Lockstep.',
  )
}
