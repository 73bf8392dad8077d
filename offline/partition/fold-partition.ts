import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { encodeKey } from '../../kernel/values/entity-key.ts'
import { ByteWriter } from '../../kernel/values/binary.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { showKey } from '../../kernel/values/show-key.ts'
import type { Tie, ViewValues } from '../../kernel/states/state.ts'
import { ofEntity } from '../../kernel/states/too-many-categories.ts'
import { valueCodec } from '../../kernel/values/value-codec.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { Lane } from '../lane.ts'
import type { MergeOptions } from '../lookup.ts'
import { projection } from '../rows/source-stream.ts'
import { timeOutside } from '../rows/tuple-values.ts'
import type { PassLayout, StreamLayout } from './partition-layout.ts'
import { controls } from './partition-layout.ts'

/** Rows by column, by index of the input of a pass. null: the engine does not send the column, as no row needs it. */
export type PartitionColumns = readonly (ArrayLike<Value | null> | null)[]

export interface PartitionOptions extends MergeOptions {
  /** Epoch microseconds: rows that were known, or else happened, at it or later are not seen; null: all are. */
  readonly knownBefore: number | null
}

/**
 * Folds the ordered rows of a pass, and answers its questions, with the states of the point-in-time join
 * (offline/merge.ts). An error of a row is thrown by the first question that sees the row, so rows that nobody asks
 * for do no harm.
 *
 * @param answer takes the values of a question by index of the mapping's `asked`; the next one overwrites them
 * @returns takes consecutive rows. It throws a LockstepError `ORDER_VIOLATED`, `INVALID_ROW`, `INVALID_TIME`, and what
 *   transforms throw
 */
export function foldPartition(
  layout: PassLayout,
  options: PartitionOptions,
  answer: (ordinal: number, mapping: number, values: readonly ViewValues[]) => void,
): (columns: PartitionColumns, rows: number) => void {
  const { pass } = layout
  const parts = pass.key.length
  const at = (control: (typeof controls)[number]): number => parts + controls.indexOf(control)
  const [timeAt, tagAt, numberAt, ordinalAt, eventAt, knownAt, rowAt] = [
    at('t'),
    at('tag'),
    at('n'),
    at('o'),
    at('e'),
    at('known'),
    at('row'),
  ]
  const tracks = pass.streams.map(({ plans }, n) => new PartitionTrack(plans, layout.streams[n] as StreamLayout, options))
  const asked = pass.mappings.map((mapping) => ({
    tracks: [...new Set(mapping.asked.map(({ stream }) => tracks[stream] as PartitionTrack))],
    lanes: mapping.asked.map(({ stream, plan }) => tracks[stream]?.lanes[plan] as Lane),
    unknown: mapping.asked.map(({ stream, plan }) => unknownTo(pass.streams[stream]?.plans[plan])),
    values: new Array<ViewValues>(mapping.asked.length),
  }))
  const last = new Array<Value | null>(parts)
  let key: EntityKey | null = null
  let [lastTime, lastTag] = [Number.NEGATIVE_INFINITY, 0]

  function isOfLastKey(columns: PartitionColumns, row: number): boolean {
    if (key === null) return false
    for (let i = 0; i < parts; i++) if (columns[i]?.[row] !== last[i]) return false
    return true
  }

  function turnTo(columns: PartitionColumns, row: number): void {
    for (let i = 0; i < parts; i++) last[i] = columns[i]?.[row] ?? null
    const next = encodeKey(pass.key, last)
    if (key !== null && next < key) throw unordered(`the key ${showKey(pass.key, next)} comes after ${showKey(pass.key, key)}`)
    if (next === key) return
    key = next
    lastTime = Number.NEGATIVE_INFINITY
    for (const track of tracks) track.begin()
  }

  return (columns, rows) => {
    const numbers = (column: number): ArrayLike<number | null> => columns[column] as ArrayLike<number | null>
    const [times, tags, places, ordinals] = [numbers(timeAt), numbers(tagAt), numbers(numberAt), numbers(ordinalAt)]
    const events = numbers(eventAt)
    for (let row = 0; row < rows; row++) {
      const tag = tags[row] as number
      const place = places[row] as number
      if (!isOfLastKey(columns, row)) {
        if (lacksKey(columns, parts, row)) {
          const mapping = asked[place]
          if (tag === 1 && mapping !== undefined) answer(ordinalOf(ordinals[row]), place, mapping.unknown)
          continue
        }
        turnTo(columns, row)
      }
      if (tag === -1) continue
      const time = times[row] ?? Number.NaN
      if (Number.isNaN(time)) throw new LockstepError('INVALID_ROW', `A row with the key ${showKey(pass.key, key ?? '')} has no time "t".`)
      if (time < lastTime || (time === lastTime && tag < lastTag))
        throw unordered(
          `of the key ${showKey(pass.key, key ?? '')}, a row with (t, tag) = (${time}, ${tag}) comes after (${lastTime}, ${lastTag})`,
        )
      lastTime = time
      lastTag = tag
      if (tag === 0) {
        const track = tracks[place]
        if (track === undefined)
          throw new LockstepError('INVALID_ROW', `There is no stream ${place} in this pass; the plan has ${tracks.length}.`)
        const known = (columns[knownAt]?.[row] ?? null) as number | null
        track.take(key ?? '', columns, row, events[row] ?? null, known, columns[rowAt]?.[row] ?? null, time)
        continue
      }
      const mapping = asked[place]
      if (mapping === undefined)
        throw new LockstepError('INVALID_ROW', `There is no mapping ${place} in this pass; the plan has ${asked.length}.`)
      try {
        for (const track of mapping.tracks) track.throwFailure()
        for (let i = 0; i < mapping.lanes.length; i++) mapping.values[i] = (mapping.lanes[i] as Lane).valueAt(time)
      } catch (error) {
        throw ofEntity(pass.key, key ?? '', error)
      }
      answer(ordinalOf(ordinals[row]), place, mapping.values)
    }
  }
}

/** One source of a pass, for the current entity. */
class PartitionTrack {
  readonly lanes: readonly Lane[]
  readonly #layout: StreamLayout
  readonly #options: PartitionOptions
  readonly #tieOf: (values: readonly (Value | null)[]) => string
  #failure: Error | null = null

  constructor(plans: readonly ViewPlan[], layout: StreamLayout, options: PartitionOptions) {
    const delivered = layout.columns.slice(0, layout.delivered)
    this.lanes = plans.map((plan) => new Lane(plan, projection(delivered, plan), options))
    this.#layout = layout
    this.#options = options
    this.#tieOf = plans.some(comparesTies) ? tieWriter(layout) : () => ''
  }

  begin(): void {
    this.#failure = null
    for (const lane of this.lanes) lane.begin()
  }

  take(
    key: EntityKey,
    columns: PartitionColumns,
    row: number,
    eventTime: number | null,
    known: number | null,
    identity: Value | null,
    time: number,
  ): void {
    const { source, from, delivered } = this.#layout
    if (eventTime === null) throw this.#invalid(key, 'has no event time')
    if (!Number.isSafeInteger(eventTime)) throw timeOutside(`The event time of a row of source "${source.name}"`, eventTime)
    const knownTime = known === Number.NEGATIVE_INFINITY ? null : known
    if (knownTime !== null && knownTime !== Number.POSITIVE_INFINITY && !Number.isSafeInteger(knownTime))
      throw timeOutside(`The known time of a row of source "${source.name}"`, knownTime)
    const { knownBefore } = this.#options
    if (knownBefore !== null && (knownTime ?? eventTime) >= knownBefore) return
    const width = identity === null ? this.#layout.columns.length : delivered
    const values = new Array<Value | null>(width)
    for (let i = 0; i < width; i++) {
      const column = columns[from + i]
      if (column === null || column === undefined) throw this.#invalid(key, `lacks the column "${this.#layout.columns[i]?.name}"`)
      const value = column[row] ?? null
      // -0 is 0, as in a database
      values[i] = typeof value === 'number' ? value + 0 : value instanceof Float32Array ? value.map((each) => each + 0) : value
    }
    const tie: Tie = identity === null ? this.#tieOf(values) : Number(identity)
    if (delivered < width) values.length = delivered
    if (this.#failure !== null) return
    try {
      for (const lane of this.lanes) lane.take(key, eventTime, knownTime, tie, values, time)
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error('a row could not be folded', { cause: error })
    }
  }

  throwFailure(): void {
    if (this.#failure !== null) throw this.#failure
  }

  #invalid(key: EntityKey, what: string): LockstepError {
    const { source, key: parts } = this.#layout
    return new LockstepError(
      'INVALID_ROW',
      `A row of source "${source.name}" with key ${showKey(parts, key)} ${what}; correct or delete the row.`,
    )
  }
}

const ordered: readonly string[] = ['first', 'last', 'firstN', 'lastN', 'lastDistinctN']

/** Whether the order of rows of equal times matters to a view. */
function comparesTies({ spec: { features } }: ViewPlan): boolean {
  return features.some((feature) => feature.kind === 'latest' || ordered.includes(feature.aggregate))
}

/**
 * As rows of a database without `_row` (offline/rows/row-decoder.ts): the bytes of all columns of the source, by name.
 */
function tieWriter({ source, columns }: StreamLayout): (values: readonly (Value | null)[]) => string {
  const names = source.columns.map(({ name }) => name).sort()
  const slots = names.map((name) => columns.findIndex((column) => column.name === name))
  const codecs = slots.map((slot) => valueCodec((columns[slot] as StreamLayout['columns'][number]).type))
  const writer = new ByteWriter()
  return (values) => {
    writer.reset()
    for (const [i, slot] of slots.entries()) codecs[i]?.write(writer, values[slot] ?? null)
    return writer.view().toString('latin1')
  }
}

/** The values of an unknown entity in a view. */
function unknownTo(plan: ViewPlan | undefined): ViewValues {
  if (plan === undefined) throw new LockstepError('INTERNAL', 'A mapping asks a view that its pass does not have.')
  return plan.newState().valueAt(0)
}

function lacksKey(columns: PartitionColumns, parts: number, row: number): boolean {
  for (let i = 0; i < parts; i++) if ((columns[i]?.[row] ?? null) === null) return true
  return false
}

function ordinalOf(ordinal: number | null | undefined): number {
  if (Number.isSafeInteger(ordinal)) return ordinal as number
  throw new LockstepError('INVALID_ROW', `A question has the number "o" ${ordinal ?? 'NULL'}, which is not a whole number.`)
}

function unordered(what: string): LockstepError {
  return new LockstepError(
    'ORDER_VIOLATED',
    `The rows are not in the order of key, time and tag: ${what}. Sort them by the bytes of their keys in UTF-8, without a locale.`,
  )
}
