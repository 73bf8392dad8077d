import { ByteWriter } from '../../kernel/binary.ts'
import { Status } from '../../kernel/state.ts'
import { valueCodec } from '../../kernel/value-codec.ts'
import type { Value, ValueType } from '../../kernel/value-type.ts'

/**
 * How a served value compares with what the offline history says of its moment:
 *
 * - `equal`: it is the same, but for rows that became visible so shortly before that they may have been under way
 * - `tie`: it is that of another row of the same event and known time
 * - `ttl`: one of both has passed its maximal age, and the other has not
 * - `stale`: it lacks rows that were in the source's table, and were visible, when it was served
 * - `late`: it lacks rows that came after it was served, and say that they were visible before
 * - `other`: none of this explains it
 */
export const verdicts = ['equal', 'tie', 'ttl', 'stale', 'late', 'other'] as const
export type Verdict = (typeof verdicts)[number]

/** One feature, as it is by which rows count (`WhatIf`); null where the service's code fails on them. */
export interface Side {
  readonly value: Value | null
  readonly status: Status
}
export interface Sides {
  readonly own: Side | null
  readonly prompt: Side | null
  readonly there: Side | null
  readonly all: Side | null
  readonly ownTurned: Side | null
  readonly allTurned: Side | null
}

export function classify(type: ValueType, logged: Side, sides: Sides): Verdict {
  const is = (side: Side | null): boolean => side !== null && sameSide(type, logged, side)
  const isOwn = is(sides.own)
  if (is(sides.all) || (isOwn && is(sides.prompt))) return 'equal'
  if (is(sides.allTurned) || (!isOwn && is(sides.ownTurned))) return 'tie'
  const against = expectedOf(type, logged, sides)
  if (against !== null && isAged(logged) !== isAged(against)) return 'ttl'
  if (!isOwn) return 'other'
  return is(sides.there) ? 'late' : 'stale'
}

/** What the logged value is held against: where it is what its own rows say, what it would be of those that it lacks, too. */
export function expectedOf(type: ValueType, logged: Side, { own, prompt }: Sides): Side | null {
  return own !== null && sameSide(type, logged, own) ? prompt : own
}

function isAged({ status }: Side): boolean {
  return status === Status.outsideMaxAge
}

export function sameSide(type: ValueType, a: Side, b: Side): boolean {
  return a.status === b.status && sameValue(type, a.value, b.value)
}

const [one, other] = [new ByteWriter(), new ByteWriter()]

/** To the bit; NaN is itself. */
function sameValue(type: ValueType, a: Value | null, b: Value | null): boolean {
  const { write } = valueCodec(type)
  one.reset()
  other.reset()
  write(one, a)
  write(other, b)
  return one.view().equals(other.view())
}
