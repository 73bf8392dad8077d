import { ByteReader, ByteWriter } from '../values/binary.ts'
import type { EntityKey } from '../values/entity-key.ts'
import { LockstepError } from '../errors.ts'
import { showKey } from '../values/show-key.ts'
import type { StoredHeader } from './stored-state.ts'
import { readHeader, sealed } from './stored-state.ts'
import type { ViewPlan } from '../view-plan.ts'

/** The first byte of a body that replaces a state that was too large. No state begins with it. */
export const overCapFlag = 0x80
/** An oversized entity is checked again at its next row after this time, microseconds, because its windows move on. */
const againAfter = 3_600_000_000

/** The record that replaces a state that is larger than the view's `maxStateBytes`. */
export interface OverCap {
  /** The size of the state. */
  readonly bytes: number
  /** The moment of the run that found it, epoch microseconds. */
  readonly moment: number
}

/** Returns the stored state, or its replacement if it is over the view's limit. */
export function withinCap(plan: ViewPlan, stored: Buffer, moment: number): { readonly stored: Buffer; readonly over: OverCap | null } {
  const { maxStateBytes } = plan.upkeep
  if (maxStateBytes === null || stored.length <= maxStateBytes) return { stored, over: null }
  const over = { bytes: stored.length, moment }
  const writer = new ByteWriter(64)
  const { headEnd, bodyAt } = readHeader(stored, plan.id)
  writer.raw(stored.subarray(0, bodyAt))
  writer.byte(overCapFlag)
  writer.uint(over.bytes)
  writer.int(over.moment)
  return { stored: sealed(writer, headEnd), over }
}

/** Reads the replacement of an oversized state; null if a state is stored. */
export function readOverCap(stored: Buffer, { bodyAt }: StoredHeader): OverCap | null {
  if (stored[bodyAt] !== overCapFlag) return null
  const reader = new ByteReader(stored, bodyAt + 1)
  return { bytes: reader.uint(), moment: reader.int() }
}

/** Whether the state may fit now, so that it is worth rebuilding from all rows of its entity. */
export function worthMaking({ upkeep }: ViewPlan, over: OverCap, moment: number): boolean {
  const { maxStateBytes } = upkeep
  return maxStateBytes === null || over.bytes <= maxStateBytes || moment >= over.moment + againAfter
}

/** The error names the entity and the view, and says what to do. */
export function overCapError(plan: ViewPlan, key: EntityKey, over: OverCap): LockstepError {
  const { maxStateBytes } = plan.upkeep
  const entity = plan.key.length === 0 ? 'The one entity' : `The entity ${showKey(plan.key, key)}`
  return new LockstepError(
    'STATE_TOO_LARGE',
    `${entity} of the view "${plan.id}" is not in the online store: its state takes ${over.bytes} bytes, but the view's maxStateBytes is ${maxStateBytes}. It is answered from its table, more slowly. Raise maxStateBytes and apply, or shorten the windows in a new version; the next row then stores it again.`,
    { details: { view: plan.id, bytes: over.bytes, maxStateBytes } },
  )
}
